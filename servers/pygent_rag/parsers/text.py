"""Plain text: no structure but its sentences and blank lines."""

from __future__ import annotations

from pathlib import Path

from pygent_rag.decoding import decode
from pygent_rag.document import Block, Document, trimmed, verbatim


def parse(path: Path, data: bytes) -> Document:
    decoded = decode(path, data)
    start, end = trimmed(decoded.text, 0, len(decoded.text))
    return verbatim(decoded, [Block(start=start, end=end)] if start < end else [])
