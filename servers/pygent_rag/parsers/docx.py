"""Word documents: what mammoth makes of them (headings, lists, tables, footnotes), read as HTML.

A Word file has no pages until it is printed: its places are the lines of the text that is kept.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError
from xml.sax import SAXException

from pygent_rag.archive import damaged, unpacking
from pygent_rag.decoding import one_line, visible
from pygent_rag.document import Document, lines_of
from pygent_rag.parsers import html

_KIND = "a Word document"


def parse(path: Path, data: bytes) -> Document:
    import mammoth

    with unpacking(path, data, _KIND) as archive:
        title = _title(archive.read("docProps/core.xml")) if "docProps/core.xml" in archive.namelist() else ""
        try:
            made = mammoth.convert_to_html(
                io.BytesIO(data), convert_image=mammoth.images.img_element(_no_picture)
            )
        except (ExpatError, SAXException, ValueError, AttributeError, IndexError, TypeError) as error:
            raise damaged(path, _KIND) from error
    document = html.read(visible(made.value))
    return replace(document, places=lines_of(document.text), title=title or document.title)


def _no_picture(image: Any) -> dict[str, str]:
    return {}


def _title(properties: bytes) -> str:
    """What the document's properties call it."""
    from xml.etree import ElementTree

    try:
        found = ElementTree.fromstring(properties).findtext("{http://purl.org/dc/elements/1.1/}title")
    except ElementTree.ParseError:
        return ""
    return one_line(found or "")
