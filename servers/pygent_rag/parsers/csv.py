"""Tables as text: values apart by commas, semicolons or tabs.

A record stays whole. Where the table is cut, the first record, which names the columns, goes with each part.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from pygent_rag.decoding import decode
from pygent_rag.document import Block, Document, Span, trimmed, verbatim

SMALL = 100
"""Characters within which records are taken together."""

LONGEST_FIELD = 1_000_000

_DELIMITERS = "\t;|,"


def parse(path: Path, data: bytes) -> Document:
    decoded = decode(path, data)
    note = ""
    try:
        spans = list(_records(decoded.text))
    except csv.Error as error:
        spans = list(_grouped(decoded.text, decoded.text.split("\n")))
        note = f"not valid as a table ({error}), so it is cut by lines"
    head = spans[0] if len(spans) > 1 else None
    blocks = [Block(start=start, end=end, kind="table", head=head) for start, end in spans]
    return verbatim(decoded, blocks, title=path.stem, note=note)


def _records(text: str) -> Iterator[Span]:
    """Where the head is, and then small records together, larger ones alone."""
    csv.field_size_limit(LONGEST_FIELD)
    lines = text.split("\n")
    head = next((line for line in lines if line.strip()), "")
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    before = 0

    def records() -> Iterator[str]:
        nonlocal before
        for _ in reader:
            yield "\n".join(lines[before : reader.line_num])
            before = reader.line_num

    yield from _grouped(text, records())


def _grouped(text: str, records: Iterable[str]) -> Iterator[Span]:
    """The spans of records that follow one another, the first one alone."""
    begun = at = 0
    first = True
    for record in records:
        at += len(record) + 1
        if at - begun > SMALL or first:
            start, end = trimmed(text, begun, min(at, len(text)))
            if start < end:
                yield start, end
                first = False
            begun = at
    start, end = trimmed(text, begun, len(text))
    if start < end:
        yield start, end
