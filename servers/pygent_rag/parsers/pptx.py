"""PowerPoint: the text of each slide and its notes.

A slide's title is a heading, and no passage spans two slides.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pygent_rag.archive import damaged, unpacking
from pygent_rag.decoding import one_line, visible
from pygent_rag.document import Document
from pygent_rag.draft import Draft

_KIND = "a PowerPoint file"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "hdr", "sldNum", "sldImg")
_PRESENTATION = "ppt/presentation.xml"


def parse(path: Path, data: bytes) -> Document:
    draft = Draft("slide")
    with unpacking(path, data, _KIND) as archive:
        try:
            for number, slide in enumerate(_slides(archive), start=1):
                draft.place(number)
                _add(draft, archive, slide)
        except (ElementTree.ParseError, ValueError) as error:
            raise damaged(path, _KIND) from error
    return draft.document()


def _slides(archive: zipfile.ZipFile) -> Iterator[str]:
    """The names of the slides' parts, in the order of the talk."""
    parts = _related(archive, _PRESENTATION)
    for entry in _read(archive, _PRESENTATION).iter(f"{_P}sldId"):
        if (id := entry.get(f"{_R}id")) in parts:
            yield parts[id][1]


def _add(draft: Draft, archive: zipfile.ZipFile, name: str) -> None:
    shapes = list(_shapes(_read(archive, name)))
    for placeholder, shape in shapes:
        if placeholder in _TITLES and (title := one_line(" ".join(_paragraphs(shape)))):
            draft.heading(1, title)
            break
    else:
        draft.outline.leave()
    for placeholder, shape in shapes:
        if placeholder not in _TITLES:
            _add_shape(draft, shape)
    for kind, target in _related(archive, name).values():
        if kind.endswith("/notesSlide"):
            for placeholder, shape in _shapes(_read(archive, target)):
                if placeholder not in _FURNITURE:
                    _add_shape(draft, shape)


def _add_shape(draft: Draft, shape: Element) -> None:
    rows = list(shape.iter(f"{_A}tr"))
    if rows:
        cells = [[one_line(" ".join(_paragraphs(cell))) for cell in row.iter(f"{_A}tc")] for row in rows]
        draft.add("\n".join(" | ".join(row) for row in cells), "table")
    else:
        draft.add("\n".join(_paragraphs(shape)))


def _shapes(root: Element) -> Iterator[tuple[str, Element]]:
    """Each shape that can hold text, with what it holds the place of ("" mostly)."""
    for shape in root.iter():
        if shape.tag == f"{_P}sp":
            placeholder = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
            kind = placeholder.get("type", "") if placeholder is not None else ""
            if kind not in _FURNITURE:
                yield kind, shape
        elif shape.tag == f"{_P}graphicFrame":
            yield "", shape


def _paragraphs(shape: Element) -> Iterator[str]:
    for paragraph in shape.iter(f"{_A}p"):
        parts = []
        for node in paragraph.iter():
            if node.tag == f"{_A}t":
                parts.append(node.text or "")
            elif node.tag == f"{_A}br":
                parts.append("\n")
        if words := visible("".join(parts)).strip():
            yield words


def _related(archive: zipfile.ZipFile, name: str) -> dict[str, tuple[str, str]]:
    """Id -> type and part of what a part refers to inside the file."""
    folder, file = posixpath.split(name)
    relations = f"{folder}/_rels/{file}.rels"
    if relations not in archive.namelist():
        return {}
    return {
        entry.get("Id", ""): (
            entry.get("Type", ""),
            posixpath.normpath(posixpath.join(folder, entry.get("Target", ""))).lstrip("/"),
        )
        for entry in _read(archive, relations)
        if entry.get("TargetMode") != "External"
    }


def _read(archive: zipfile.ZipFile, name: str) -> Element:
    return ElementTree.fromstring(archive.read(name))
