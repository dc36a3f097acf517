"""PDF: the text of each page, by PDFium. A page is one block, and no passage spans two pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any

from pygent_rag.decoding import one_line, visible
from pygent_rag.document import Block, Document, Places, trimmed
from pygent_shared.errors import FileRefused

_BETWEEN = "\n\n"
_LINE_END_HYPHEN = "\ufffe"
_WRONG_PASSWORD = 4  # FPDF_ERR_PASSWORD

# PDFium is not safe for threads.
_one_at_a_time = threading.Lock()


def parse(path: Path, data: bytes) -> Document:
    with _one_at_a_time:
        title, pages, unread = _read(path, data)
    if not any(pages):
        cure = "Make its text readable first, for example: ocrmypdf in.pdf out.pdf"
        raise FileRefused(path, f"has no text on its {len(pages)} pages (a scan?)", cure)
    starts = [0, *accumulate(len(page) + len(_BETWEEN) for page in pages[:-1])]
    text = _BETWEEN.join(pages)
    spans = [trimmed(text, start, start + len(page)) for start, page in zip(starts, pages, strict=True)]
    return Document(
        text=text,
        blocks=tuple(Block(start=start, end=end) for start, end in spans if start < end),
        places=Places(starts=starts, numbers=range(1, len(pages) + 1)),
        unit="page",
        title=title,
        note=f"pages that could not be read: {', '.join(map(str, unread))}" if unread else "",
    )


def _read(path: Path, data: bytes) -> tuple[str, list[str], list[int]]:
    """Title, text of each page ("" where it has none) and the numbers of the pages that cannot be read."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise _refusal(path, error) from error
    try:
        title = one_line(pdf.get_metadata_value("Title") or "")
        pages = list(_pages(pdf, pypdfium2.PdfiumError))
    finally:
        pdf.close()
    unread = [number for number, page in enumerate(pages, start=1) if page is None]
    return title, [page or "" for page in pages], unread


def _pages(pdf: Any, failure: type[Exception]) -> Iterator[str | None]:
    for number in range(len(pdf)):
        try:
            with closing(pdf[number]) as page, closing(page.get_textpage()) as text:
                raw = text.get_text_range()
        except failure:
            yield None
        else:
            yield visible(raw.replace(_LINE_END_HYPHEN, "")).strip()


def _refusal(path: Path, error: Any) -> FileRefused:
    if getattr(error, "err_code", None) == _WRONG_PASSWORD:
        cure = "Save a copy without one, for example: qpdf --decrypt --password=… in.pdf out.pdf"
        return FileRefused(path, "is a PDF locked with a password", cure)
    return FileRefused(path, "is not a whole PDF (cut short, damaged, or another type)", "Get it anew.")
