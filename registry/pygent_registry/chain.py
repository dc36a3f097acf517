"""A chain of records: each holds the hash of the one before, so that none can be changed, taken out or put
in without breaking it.

Pure. What a chain cannot show is that its end was cut off: keep the last hash elsewhere for that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

START = "0" * 64
"""What the first record holds as the hash before it."""


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_encode_sorted = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(value: Any) -> str:
    """The hash of a JSON value, whatever the order of its keys."""
    return digest(_encode_sorted(value))


def line(record: Mapping[str, Any], before: str) -> tuple[str, str]:
    """The record as a line of a file, and its hash.

    The line gets `prev`, the hash before it, and `hash`, that of the line's own text without it.
    """
    text = _encode({**record, "prev": before})
    own = digest(text)
    return f"{text[:-1]}{_mark(own)}\n", own


def _mark(own: str) -> str:
    """How a line ends."""
    return f',"hash":"{own}"}}'


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What looking through a chain found."""

    records: int
    last: str
    """The hash of the last record; keep it elsewhere to notice a later cut."""
    torn: int = 0
    """Lines that a crash left unfinished. They were never records."""
    broken: str = ""
    """Where and how the chain is broken; empty where it is whole."""


def verify(lines: Iterable[str], before: str = START) -> Finding:
    """Look through the lines of a file, up to the first break.

    Args:
        before: the hash of the last record before them, where the chain began in another file.
    """
    records, torn, last = 0, 0, before
    for number, text in enumerate(lines, start=1):
        record = parsed(text)
        if record is None:
            torn += 1
            continue
        wrong = _wrong(record, text, last)
        if wrong:
            return Finding(records=records, last=last, torn=torn, broken=f"line {number}: {wrong}")
        records, last = records + 1, record["hash"]
    return Finding(records=records, last=last, torn=torn)


def parsed(text: str) -> dict[str, Any] | None:
    """A line as a record; None where it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("hash"), str) else None


def _wrong(record: Mapping[str, Any], text: str, before: str) -> str:
    if record.get("prev") != before:
        return "it does not follow the record before it: one was changed, taken out or put in"
    own = record["hash"]
    unmarked = text.rstrip("\r\n").removesuffix(_mark(own)) + "}"
    return "" if digest(unmarked) == own else "it was changed after it was written"
