"""Changing one member of a JSON or JSONC text and leaving every other byte as it was.

Comments and trailing commas are overwritten with as many spaces, so json's own scanner reads what is left,
and every offset, line and column it names holds in the original. The edit itself is a splice of the original.

The one rule: every edit is checked after it is made. Its text must read as the document that the same change
to plain dicts gives, with all comments still there and in order; otherwise nothing is handed out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pygent_shared.jsonc import COMMENT, STRING, TRAILING_COMMA, blanked, spans

Keys = Sequence[str]
"""The names that lead to a member: of the object, of the object in it, and so on."""

_BLANK = " \t\r\n"
_CONSTANT = re.compile(STRING + r"|(-?Infinity|NaN)", re.DOTALL)
_LINE_AND_MARGIN = re.compile(r"(?:\r?\n)?[ \t]*\Z")
_EMPTY_OBJECT = re.compile(r"\{[ \t\r\n]*\}")


class CommentInTheWay(ValueError):
    """The edit would have cost a comment, or the text is too odd to be edited safely."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A text that has been read: what it says, and the same text with the parts blanked that JSON lacks."""

    text: str
    bare: str
    """`text` without its comments."""
    strict: str
    """`text` without its comments and trailing commas: JSON."""
    comments: tuple[tuple[int, int], ...]
    document: Any

    @property
    def remarks(self) -> list[str]:
        return [self.text[start:end] for start, end in self.comments]


@dataclass(frozen=True, kw_only=True)
class Member:
    """Where `"key": value` stands: the key's first quote, the value's first character, and past its last."""

    key: str
    start: int
    value: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Braces:
    """Where an object stands: its two braces, and its members in order."""

    open: int
    close: int
    members: tuple[Member, ...]

    def find(self, key: str) -> Member | None:
        """The member of that name; the last one, as every reader of JSON takes it."""
        return next((member for member in reversed(self.members) if member.key == key), None)


def read(text: str, *, comments: bool) -> Source:
    """The text as a `Source`; with `comments`, comments and trailing commas are allowed.

    Raises:
        json.JSONDecodeError: it is not valid; the line and column are those of `text`.
    """
    remarks = spans(COMMENT, text) if comments else []
    bare = blanked(text, remarks)
    strict = blanked(bare, spans(TRAILING_COMMA, bare)) if comments else text
    document = json.loads(strict)
    for start, end in spans(_CONSTANT, strict) if "NaN" in strict or "Infinity" in strict else []:
        raise json.JSONDecodeError(f"{strict[start:end]} is not JSON", text, start)
    return Source(text=text, bare=bare, strict=strict, comments=tuple(remarks), document=document)


def lookup(document: Any, path: Keys) -> Any:
    """The value at `path`, or None."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def put(text: str, path: Keys, value: Any, *, comments: bool) -> str:
    """The text with `value` at `path`; objects missing on the way are made.

    The new member comes last in its object and takes its siblings' indentation and newlines.

    Raises:
        json.JSONDecodeError: the text is not valid.
        CommentInTheWay: what had to be replaced holds a comment.
    """
    source = read(text, comments=comments)
    edited = _with(source, _root(source), path, value)
    return _checked(source, edited, _document_with(source.document, path, value), comments=comments)


def drop(text: str, path: Keys, *, comments: bool) -> str:
    """The text without the member at `path`; unchanged when there is none.

    Raises:
        json.JSONDecodeError: the text is not valid.
        CommentInTheWay: what had to be removed holds a comment.
    """
    source = left = read(text, comments=comments)
    while member := _find(left, path):  # a key may stand there twice
        left = _reread(_without(left, *member), comments=comments)
    return _checked(source, left.text, _document_without(source.document, path), comments=comments)


def _checked(before: Source, edited: str, expected: Any, *, comments: bool) -> str:
    """`edited`, proven to say what it should and to have lost no comment."""
    after = _reread(edited, comments=comments)
    if after.document != expected or after.remarks != before.remarks:
        raise CommentInTheWay("a comment would be lost")
    return edited


def _reread(edited: str, *, comments: bool) -> Source:
    try:
        return read(edited, comments=comments)
    except json.JSONDecodeError as error:
        raise CommentInTheWay("the edited text would not be valid") from error


def _document_with(document: Any, path: Keys, value: Any) -> Any:
    inside = document if isinstance(document, dict) else {}
    changed = _document_with(inside.get(path[0]), path[1:], value) if path[1:] else value
    return {**inside, path[0]: changed}


def _document_without(document: Any, path: Keys) -> Any:
    if not isinstance(document, dict) or path[0] not in document:
        return document
    if path[1:]:
        return {**document, path[0]: _document_without(document[path[0]], path[1:])}
    return {key: value for key, value in document.items() if key != path[0]}


# Reading.


def _skip(text: str, at: int) -> int:
    while text[at] in _BLANK:
        at += 1
    return at


def _root(source: Source) -> Braces:
    return _braces(source.strict, _skip(source.strict, 0))


def _braces(strict: str, open: int) -> Braces:
    """The object that opens at `open` in valid JSON."""
    decode = json.JSONDecoder().raw_decode
    members, at = [], _skip(strict, open + 1)
    while strict[at] != "}":
        key, key_end = decode(strict, at)
        value = _skip(strict, _skip(strict, key_end) + 1)
        _, end = decode(strict, value)
        members.append(Member(key=key, start=at, value=value, end=end))
        at = _skip(strict, end)
        if strict[at] == ",":
            at = _skip(strict, at + 1)
    return Braces(open=open, close=at, members=tuple(members))


# Layout: what a person would have typed there.


def _margin(text: str, at: int) -> str | None:
    """The indentation of what stands at `at`, or None when it is not the first thing on its line."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return None if before.strip(" \t") else before


def _line_margin(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _unit(source: Source) -> str:
    """One step of indentation in this text; two spaces when it shows none."""
    members = _root(source).members
    return (_margin(source.text, members[0].start) if members else "") or "  "


def _rendered(source: Source, value: Any, margin: str | None) -> str:
    """The value as JSON in this text's style: on one line when `margin` is None."""
    if margin is None:
        return json.dumps(value, ensure_ascii=False)
    pretty = json.dumps(value, ensure_ascii=False, indent=_unit(source))
    return pretty.replace("\n", _newline(source.text) + margin)


# Editing: splices of the original text.


def _with(source: Source, place: Braces, path: Keys, value: Any) -> str:
    key, rest = path[0], path[1:]
    member = place.find(key)
    if member and rest and source.strict[member.value] == "{":
        return _with(source, _braces(source.strict, member.value), rest, value)
    for name in reversed(rest):
        value = {name: value}
    if member:
        rendered = _rendered(source, value, _margin(source.text, member.start))
        return source.text[: member.value] + rendered + source.text[member.end :]
    return (_append if place.members else _fill)(source, place, key, value)


def _append(source: Source, place: Braces, key: str, value: Any) -> str:
    """A new member behind the last one, and behind the comments that follow that one."""
    text, last = source.text, place.members[-1]
    margin = _margin(text, last.start)
    member = f"{json.dumps(key)}: {_rendered(source, value, margin)}"
    if margin is None:
        return f"{text[: last.end]}, {member}{text[last.end :]}"
    tail = _tail(source, last.end, place.close)
    comma, end = ("", ",") if "," in source.bare[last.end : place.close] else (",", "")
    line = _newline(text) + margin + member + end
    return text[: last.end] + comma + text[last.end : tail] + line + text[tail:]


def _fill(source: Source, place: Braces, key: str, value: Any) -> str:
    """The first member of an empty object; a text of one line stays so, unless it is just `{}`."""
    text = source.text
    tail = _tail(source, place.open + 1, place.close)
    if "\n" not in text.strip() and place.open != _skip(source.strict, 0):
        return f"{text[:tail]}{json.dumps(key)}: {_rendered(source, value, None)}{text[place.close :]}"
    newline, outer = _newline(text), _line_margin(text, place.open)
    margin = outer + _unit(source)
    member = f"{json.dumps(key)}: {_rendered(source, value, margin)}"
    return f"{text[:tail]}{newline}{margin}{member}{newline}{outer}{text[place.close :]}"


def _tail(source: Source, start: int, close: int) -> int:
    """Past the last comment or comma between `start` and `close`: only blanks follow."""
    ends = [end for begin, end in source.comments if start <= begin < close]
    return max(start, source.bare.rfind(",", start, close) + 1, *ends)


def _find(source: Source, path: Keys) -> tuple[Braces, Member] | None:
    """The member at `path` and the object it stands in."""
    place = _root(source)
    for key in path[:-1]:
        outer = place.find(key)
        if outer is None or source.strict[outer.value] != "{":
            return None
        place = _braces(source.strict, outer.value)
    member = place.find(path[-1])
    return (place, member) if member else None


def _without(source: Source, place: Braces, member: Member) -> str:
    before, after = _trimmed(*_around(source, place, member))
    edited = before + after
    if empty := _EMPTY_OBJECT.match(edited, place.open):
        edited = f"{edited[: place.open]}{{}}{edited[empty.end() :]}"
    return edited


def _around(source: Source, place: Braces, member: Member) -> tuple[str, str]:
    """What stands before and after a member, less the one comma that goes with it."""
    text, bare = source.text, source.bare
    before, after = text[: member.start], text[member.end :]
    following = _skip(bare, member.end)
    index = place.members.index(member)
    if bare[following] == ",":
        after = text[member.end : following] + text[following + 1 :]
    elif index:
        comma = bare.rindex(",", place.members[index - 1].end, member.start)
        before = text[:comma] + text[comma + 1 : member.start]
    return before, after


def _trimmed(before: str, after: str) -> tuple[str, str]:
    """Less the line that the member leaves empty, or the gap it leaves within one."""
    after = after.lstrip(" \t")
    if not after or after[0] in "\r\n":
        return _LINE_AND_MARGIN.sub("", before, count=1), after
    return (before.rstrip(" \t") if after.startswith("}") else before), after
