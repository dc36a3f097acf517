"""The addresses of what was ingested: of a document, and of a section in it.

rag://COLLECTION/PATH                   a document
rag://COLLECTION/PATH?at=12-18          the section around its lines (pages, slides …) 12 to 18
rag://COLLECTION/PATH?at=5&sheet=Tides  the same of a sheet
"""

from __future__ import annotations

import re
from pathlib import PurePath
from urllib.parse import quote

from pygent_rag.passage import Passage
from pygent_rag.place import Place
from pygent_rag.sources import is_file_name
from pygent_shared.errors import InvalidArgument

TEMPLATE = "rag://{collection}/{+path}{?at,sheet}"
"""What all of them match (RFC 6570)."""

_RANGE = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?")


def document_uri(collection: str, path: str) -> str:
    """The resource that reads a document."""
    spelled = PurePath(path).as_posix().lstrip("/") if is_file_name(path) else path
    return f"rag://{quote(collection, safe='')}/{quote(spelled)}"


def section_uri(passage: Passage) -> str:
    """The resource that reads all of the section a passage stands in."""
    more = f"-{passage.last}" if passage.last > passage.first else ""
    sheet = f"&sheet={quote(passage.part, safe='')}" if passage.part else ""
    return f"{document_uri(passage.collection, passage.path)}?at={passage.first}{more}{sheet}"


def meant(collection: str, path: str, at: str = "", sheet: str = "") -> list[Place]:
    """What the parts of such an address may mean, likeliest first: it says `/a/b` and `a/b` alike.

    Raises:
        InvalidArgument: `at` is no range.
    """
    if not (found := _RANGE.fullmatch(at or "0")):
        raise InvalidArgument("at", f"{at[:80]!r} is no line or page, nor a range", "Write it so: at=12-18")
    first, last = int(found[1]), int(found[2] or 0)
    return [
        Place(path=spelled, collection=collection, first=first, last=max(first, last), part=sheet)
        for spelled in (f"/{path}", path)
    ]
