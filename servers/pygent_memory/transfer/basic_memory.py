"""basic-memory's folders: Markdown notes with front matter, observations and relations.

A note is an entity of the graph. Its observations (`- [category] text #tag (context)`) become memories about
it, their category and tags, tags; its relations (`- type [[Target]] (context)`, and links in the text),
relations. What else it says is a memory of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pygent_memory.memory import MAX_TEXT_BYTES, draft, label, moment
from pygent_memory.transfer.found import Damaged, Entity, Format, Found, Relation, texts
from pygent_shared.errors import InvalidArgument

_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"([A-Za-z_][\w -]*?)\s*:\s*(.*)")
_OBSERVATION = re.compile(r"\s*[-*] \[(?P<category>[^\[\]()]{2,100}|[^\[\]() xX-])\] (?P<text>.*\S)\s*")
_RELATION = re.compile(r"\s*[-*] (?P<type>[^\[\]]*?)\s*\[\[(?P<target>[^\[\]]+)\]\]\s*(?:\([^()]*\))?\s*")
_LINK = re.compile(r"\[\[([^\[\]|]+)(?:\|[^\[\]]*)?\]\]")
_TAG = re.compile(r"(?<!\S)#([\w/-]+)")
_HEADING = re.compile(r"#{1,6} .*")
_PIECE = MAX_TEXT_BYTES - 4_000
LINKS_TO = "links_to"


@dataclass(frozen=True, kw_only=True)
class _Note:
    title: str
    type: str
    source: str
    tags: tuple[str, ...]
    at: str


def fits(path: Path, head: str) -> bool:
    """Whether it is a folder, or one note."""
    return path.is_dir() or (path.suffix.lower() == ".md" and head.startswith("---"))


def read(path: Path) -> Iterator[Found]:
    """What the notes of a folder, or one note, hold. Hidden folders are passed over, links not followed."""
    if path.is_file():
        yield from _note(path, path.name)
        return
    for folder, names, files in os.walk(path):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder, name)
            if file.suffix.lower() == ".md" and not file.is_symlink():
                yield from _note(file, file.relative_to(path).as_posix())


def _note(file: Path, name: str) -> Iterator[Found]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        front, body, first = _parted(text)
        note = _described(front, name)
    except (OSError, UnicodeDecodeError, InvalidArgument) as error:
        yield Damaged(place=name, why=f"It cannot be read ({error}).")
        return
    yield Entity(name=note.title, type=note.type)
    prose: list[str] = []
    fenced = False
    for number, line in enumerate(body.splitlines(), start=first):
        fenced ^= line.lstrip().startswith("```")
        if not fenced and (observation := _OBSERVATION.fullmatch(line)):
            yield _observation(note, observation, f"{name}, line {number}", line)
        elif not fenced and (relation := _RELATION.fullmatch(line)):
            kind = relation["type"].strip() or LINKS_TO
            yield Relation(source=note.title, type=kind, target=relation["target"].partition("|")[0].strip())
        else:
            prose.append(line)
    for target in dict.fromkeys(_LINK.findall("\n".join(prose))):
        yield Relation(source=note.title, type=LINKS_TO, target=target.strip())
    yield from _prose(note, prose, name)


def _observation(note: _Note, found: re.Match[str], place: str, line: str) -> Found:
    tags = [found["category"], *_TAG.findall(found["text"])]
    text = " ".join(_TAG.sub("", found["text"]).split())
    try:
        made = draft(text, tags=tags, occurred_at=note.at, trust="import", source=note.source)
    except InvalidArgument as error:
        return Damaged(place=place, why=str(error), text=line)
    return replace(made, kind="observation", entity=note.title)


def _prose(note: _Note, lines: list[str], name: str) -> Iterator[Found]:
    if not any(line.strip() and not _HEADING.fullmatch(line) for line in lines):
        return
    body = "\n".join(lines).strip()
    titled = body if note.title in body.partition("\n")[0] else f"# {note.title}\n\n{body}"
    for piece in _pieces(titled):
        try:
            yield draft(piece, tags=note.tags, occurred_at=note.at, trust="import", source=note.source)
        except InvalidArgument as error:
            yield Damaged(place=name, why=str(error), text=piece)


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces that a memory holds, cut between lines; a longer line is left for the check."""
    piece = ""
    for line in text.splitlines(keepends=True):
        if piece and len((piece + line).encode()) > _PIECE:
            yield piece.strip()
            piece = ""
        piece += line
    yield piece.strip()


def _parted(text: str) -> tuple[dict[str, Any], str, int]:
    """The fields of the front matter, the text below it, and the number of its first line."""
    if (found := _FRONT.match(text)) is None:
        return {}, text, 1
    return _fields(found[1]), text[found.end() :], text.count("\n", 0, found.end()) + 1


def _fields(front: str) -> dict[str, Any]:
    """The fields of a front matter that are text or lists of text; deeper ones are passed over."""
    fields: dict[str, Any] = {}
    name = ""
    for line in front.splitlines():
        if line.lstrip().startswith("- ") and name:
            before = fields.get(name)
            fields[name] = [*(before if isinstance(before, list) else []), _bare(line.lstrip()[2:])]
        elif found := _FIELD.fullmatch(line):
            name, value = found[1].strip().lower(), found[2].strip()
            listed = value.startswith("[") and value.endswith("]")
            fields[name] = [_bare(part) for part in value[1:-1].split(",")] if listed else _bare(value)
    return fields


def _bare(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _described(front: dict[str, Any], name: str) -> _Note:
    tags = front.get("tags") or []
    listed = tags if isinstance(tags, list) else tags.split(",")
    at = texts(front, "created", "created_at", "date")
    try:
        at = moment(at, "created")
    except InvalidArgument:
        at = ""  # some other field of that name
    return _Note(
        title=label(texts(front, "title") or Path(name).stem, "title"),
        type=label(texts(front, "type") or "note", "type"),
        source=f"basic-memory:{texts(front, 'permalink') or name}",
        tags=tuple(tag.strip().removeprefix("#") for tag in listed),
        at=at,
    )


FORMAT = Format(name="basic-memory", title="a folder of Markdown notes", fits=fits, read=read)
