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


def canonical(value: Any) -> str:
    """A JSON value as the one text that is hashed."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def link(record: Mapping[str, Any], before: str) -> dict[str, Any]:
    """The record with `prev`, the hash before it, and `hash`, its own: of all of it with `prev`."""
    whole = {**record, "prev": before}
    return {**whole, "hash": digest(canonical(whole))}


def line(linked: Mapping[str, Any]) -> str:
    """A linked record as a line of a file."""
    return json.dumps(linked, ensure_ascii=True, separators=(",", ":")) + "\n"


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


def verify(lines: Iterable[str]) -> Finding:
    """Look through the lines of a file, up to the first break."""
    records, torn, last = 0, 0, START
    for number, text in enumerate(lines, start=1):
        record = parsed(text)
        if record is None:
            torn += 1
            continue
        wrong = _wrong(record, last)
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


def _wrong(record: Mapping[str, Any], before: str) -> str:
    if record.get("prev") != before:
        return "it does not follow the record before it: one was changed, taken out or put in"
    whole = {key: value for key, value in record.items() if key != "hash"}
    return "" if digest(canonical(whole)) == record["hash"] else "it was changed after it was written"
