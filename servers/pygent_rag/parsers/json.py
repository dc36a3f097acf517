"""JSON, and JSON by lines: cut between members, the keys above them taking the place of headings.

The text stays as it was written, but for letters written as numbers (`\\u00e9`), which nobody would find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from pygent_rag.decoding import decode, one_line, visible
from pygent_rag.document import LONGEST_HEADING, Block, Document, lines_of, trimmed, verbatim

WHOLE = 500
"""Characters up to which an object or list is not taken apart."""

SMALL = 100
"""Characters within which members of one object or list are taken together."""

LONGEST_PATH = 8
"""Keys of a path that are kept, the outermost."""

DEEPEST = 10_000
"""Levels that are read."""

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+"|[][{}:,]|[^\s"\[\]{}:,][^\s"\[\]{}:]*|"')
_ESCAPED = re.compile(r"\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)|\\(?:u(....)|.)")
_PAIRS = {"]": "[", "}": "{"}

Keys = tuple[str, ...]


@dataclass(slots=True)
class _Open:
    """An object or list while it is read: where its members begin."""

    start: int
    bracket: str
    path: Keys
    members: list[int] = field(default_factory=list)
    key: str = ""
    between: bool = True  # members: the next token begins one


def parse(path: Path, data: bytes) -> Document:
    decoded = decode(path, data)
    text = visible(_ESCAPED.sub(_letter, decoded.text)) if "\\u" in decoded.text else decoded.text
    try:
        blocks, note = _blocks(text, _cuts(text)), ""
    except ValueError as error:
        blocks, note = _lines(text), f"not valid JSON ({error}), so it is cut by lines"
    if text == decoded.text:
        return verbatim(decoded, blocks, title=path.name, note=note)
    return Document(
        text=text,
        blocks=tuple(blocks),
        places=lines_of(text),
        title=path.name,
        decoded=decoded.encoding,
        note=note,
    )


def _letter(escaped: re.Match[str]) -> str:
    """The letter that a number stands for; the escape itself where it is needed."""
    try:
        letter = bytes.fromhex("".join(filter(None, escaped.groups()))).decode("utf-16-be")
    except ValueError:
        return escaped[0]
    return letter if letter.isprintable() and letter not in '"\\' else escaped[0]


def _lines(text: str) -> Iterator[Block]:
    for found in re.finditer(r"\S(?:.*\S)?", text):
        yield Block(start=found.start(), end=found.end(), kind="code")


def _cuts(text: str) -> list[tuple[int, Keys]]:
    """Where the text may be cut, in order, each with the keys above what begins there.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    cuts: list[tuple[int, Keys]] = []
    stack = [_Open(0, "", ())]
    last = ""
    for found in _TOKEN.finditer(text):
        token, here = found[0], stack[-1]
        if here.between and token not in "]}":
            if not here.members or found.start() - here.members[-1] >= SMALL:
                here.members.append(found.start())
            here.between = here.bracket == ""
        match token:
            case "[" | "{":
                path = (*here.path, here.key)[:LONGEST_PATH] if here.key else here.path
                stack.append(_Open(found.start(), token, path))
                if len(stack) > DEEPEST:
                    raise ValueError(f"{_line(text, found.start())}: nested deeper than {DEEPEST} levels")
            case "]" | "}":
                if here.bracket != _PAIRS[token]:
                    raise ValueError(f"{_line(text, found.start())}: {token} closes nothing")
                stack.pop()
                if found.end() - here.start > WHOLE:
                    cuts += [(member, here.path) for member in here.members]
            case ",":
                here.between, here.key = True, ""
            case ":":
                here.key = one_line(last)[:LONGEST_HEADING]
            case '"':
                raise ValueError(f"{_line(text, found.start())}: a string is not closed")
            case _:
                last = token.strip('"')
                if "," in token and token[0] != '"':  # a run of values without a space
                    here.between, here.key = token[-1] == ",", ""
    if len(stack) > 1:
        raise ValueError(f"{_line(text, stack[-1].start)}: {stack[-1].bracket} is not closed")
    return sorted([*cuts, *((member, ()) for member in stack[0].members)])


def _line(text: str, offset: int) -> str:
    return f"line {text.count(chr(10), 0, offset) + 1}"


def _blocks(text: str, cuts: list[tuple[int, Keys]]) -> Iterator[Block]:
    """The text between the cuts."""
    for (begun, path), (cut, _) in pairwise([*cuts, (len(text), ())]):
        start, end = trimmed(text, begun, cut)
        if start < end:
            yield Block(start=start, end=end, kind="code", heading=path)
