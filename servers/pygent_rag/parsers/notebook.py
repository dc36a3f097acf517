"""Jupyter notebooks: the text, code and printed results of each cell; headings of its Markdown hold on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygent_rag.decoding import decode, visible
from pygent_rag.document import Document
from pygent_rag.draft import Draft
from pygent_rag.parsers import markdown
from pygent_shared.errors import FileRefused

LONGEST_RESULT = 10_000
"""Characters of a cell's printed result that are kept."""


def parse(path: Path, data: bytes) -> Document:
    try:
        cells = list(_cells(json.loads(decode(path, data).text)))
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        cure = "Open it in Jupyter and save it anew."
        raise FileRefused(path, f"is no notebook that can be read ({type(error).__name__})", cure) from error
    draft = Draft("cell")
    cut = []
    for number, cell in enumerate(cells, start=1):
        draft.place(number)
        source = visible(_text(cell.get("source", cell.get("input", ""))))
        if cell.get("cell_type") == "markdown":
            draft.extend(source, markdown.blocks(source, draft.outline))
            continue
        draft.add(source, "code")
        for result in _results(cell):
            if len(result) > LONGEST_RESULT:
                cut.append(str(number))
            draft.add(visible(result[:LONGEST_RESULT]), "code")
    note = f"long results were cut in cells {', '.join(dict.fromkeys(cut))}" if cut else ""
    return draft.document(note=note)


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The cells, in order; the format before 4 has them in worksheets."""
    for sheet in notebook.get("worksheets", [notebook]):
        for cell in sheet["cells"]:
            yield dict(cell)


def _results(cell: dict[str, Any]) -> Iterator[str]:
    """What a cell printed or gave, as plain text."""
    for output in cell.get("outputs", []):
        found = output.get("text") or output.get("data", {}).get("text/plain") or ""
        if output.get("output_type") != "error" and found:
            yield _text(found)


def _text(lines: Any) -> str:
    """A multi-line string, which may be a list of its lines."""
    return "".join(lines) if isinstance(lines, list) else str(lines)
