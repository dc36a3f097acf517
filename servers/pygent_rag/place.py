"""A citation taken apart: what `passage.citation` wrote, and the resource of a document or section."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

_FORMS = (
    re.compile(r"(?P<path>.+)#(?:page|slide|cell)=(?P<first>\d{1,15})(?:-(?P<last>\d{1,15}))?"),
    re.compile(r"(?P<path>.+)#(?P<part>'(?:[^']|'')*'|\w+)!A(?P<first>\d{1,15})(?::A(?P<last>\d{1,15}))?"),
    re.compile(r"(?P<path>.+):(?P<first>\d{1,15})(?:-(?P<last>\d{1,15}))?"),
)
_RESOURCE = re.compile(
    r"rag://(?P<collection>[^/]+)/(?P<path>.+?)"
    r"(?:\?at=(?P<first>\d{1,15})(?:-(?P<last>\d{1,15}))?(?:&sheet=(?P<part>.+))?)?"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Lines, pages … `first` to `last` of the document at `path`; 0 is all of it.

    Attributes:
        collection: where it is; "" where the citation does not say.
        part: the sheet.
    """

    path: str
    first: int = 0
    last: int = 0
    part: str = ""
    collection: str = ""


def places(citation: str) -> list[Place]:
    """What a citation may mean, likeliest first: a document's path may itself look like a citation."""
    spelled = citation.strip()
    if found := _RESOURCE.fullmatch(spelled):
        collection, path = unquote(found["collection"]), f"/{unquote(found['path'])}"
        whole = places(path) if found["first"] is None else [_place(found, path)]
        return [
            replace(place, path=name, collection=collection)
            for place in whole
            for name in (place.path, place.path.removeprefix("/"))
        ]
    return [Place(path=spelled), *(_place(found) for form in _FORMS if (found := form.fullmatch(spelled)))]


def _place(found: re.Match[str], path: str = "") -> Place:
    parts = found.groupdict()
    part = parts.get("part") or ""
    if path:
        part = unquote(part)
    elif part.startswith("'"):
        part = part[1:-1].replace("''", "'")
    first = int(parts["first"])
    return Place(path=path or parts["path"], first=first, last=max(first, int(parts["last"] or 0)), part=part)
