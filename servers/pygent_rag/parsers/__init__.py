"""One file per type of document: each has `parse(path, data)`, which gives a `Document` or refuses the file.

A new type is one file here and one line in `PARSERS`. Parsers do no I/O: `path` is for messages and titles.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from pathlib import Path

from pygent_rag.document import Document
from pygent_shared.errors import FileRefused

Parser = Callable[[Path, bytes], Document]

# Suffix -> where its parser is; loaded at the first such file.
PARSERS = {
    ".md": "pygent_rag.parsers.markdown:parse",
    ".markdown": "pygent_rag.parsers.markdown:parse",
    ".txt": "pygent_rag.parsers.text:parse",
    ".html": "pygent_rag.parsers.html:parse",
    ".htm": "pygent_rag.parsers.html:parse",
    ".py": "pygent_rag.parsers.python:parse",
    ".pdf": "pygent_rag.parsers.pdf:parse",
}

RECIPE = 1
"""Raise it when parsing or chunking changes: documents made by another recipe are read anew."""


def parse(path: Path, data: bytes) -> Document:
    """The document in a file's bytes.

    Raises:
        FileRefused: its type is not read, or it is not what its name says.
    """
    where = PARSERS.get(path.suffix.lower())
    if where is None:
        kind = f"is a {path.suffix} file" if path.suffix else "has no suffix that tells its type"
        raise FileRefused(path, f"{kind}, which is not read", f"Files that are: {', '.join(PARSERS)}.")
    parser: Parser = pkgutil.resolve_name(where)
    document = parser(path, data)
    if not document.blocks:
        raise FileRefused(path, "has no text", "Nothing needs to be done unless it should have some.")
    return document
