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
    suffix: f"pygent_rag.parsers.{module}:parse"
    for module, suffixes in {
        "markdown": ".md .markdown",
        "text": ".txt .text",
        "rst": ".rst",
        "html": ".html .htm .xhtml",
        "pdf": ".pdf",
        "docx": ".docx",
        "pptx": ".pptx",
        "sheets": ".xlsx .xlsm .xlsb .xls .ods",
        "csv": ".csv .tsv",
        "json": ".json .jsonl .ndjson",
        "notebook": ".ipynb",
        "python": ".py .pyi",
        "code": ".js .mjs .cjs .jsx .ts .mts .tsx .go .rs .java .c .h .cc .cpp .hpp .cs .rb .php .sh .bash",
    }.items()
    for suffix in suffixes.split()
}

RECIPE = 2
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
