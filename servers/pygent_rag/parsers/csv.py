"""Tables as text: values apart by commas, semicolons or tabs.

A record stays whole. Where the table is cut, the first record, which names the columns, goes with each part.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from pygent_rag.decoding import decode
from pygent_rag.document import Block, Document, Span, trimmed, verbatim

_DELIMITERS = "\t;|,"
LONGEST_FIELD = 1_000_000


def parse(path: Path, data: bytes) -> Document:
    decoded = decode(path, data)
    spans, note = _records(decoded.text)
    head = spans[0] if len(spans) > 1 else None
    blocks = [Block(start=start, end=end, kind="table", head=head) for start, end in spans]
    return verbatim(decoded, blocks, title=path.stem, note=note)


def _records(text: str) -> tuple[list[Span], str]:
    """Where each record is, and what to know about it."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    try:
        counts = list(_lines_read(lines))
        note = ""
    except csv.Error as error:
        counts = list(range(1, len(lines) + 1))
        note = f"not valid as a table ({error}), so it is cut by lines"
    spans = []
    before = 0
    for count in counts:
        start, end = trimmed(text, starts[before], min(starts[count], len(text)))
        if start < end:
            spans.append((start, end))
        before = count
    return spans, note


def _lines_read(lines: list[str]) -> Iterator[int]:
    """After each record, how many lines were read."""
    csv.field_size_limit(LONGEST_FIELD)
    head = next((line for line in lines if line.strip()), "")
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    for _ in reader:
        yield reader.line_num
