"""A PRP as Markdown, and back: nothing is lost on the way.

The front matter holds what programs read, a JSON value a line; the sections hold what is read by whoever does
the task. A line of a text that looks like a heading has a backslash before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from pygent_orchestration.features.model import Prp
from pygent_shared.errors import InvalidArgument, did_you_mean

_FRONT = ("id", "hours", "depends_on", "paths", "capabilities")
_TEXTS = {"Goal": "goal", "Justification": "justification", "Context": "context"}
_LISTS = {
    "Implementation steps": "implementation_steps",
    "Validation criteria": "validation_criteria",
    "Success metrics": "success_metrics",
    "Failure recovery": "failure_recovery",
    "References": "references",
}
_SECTIONS = _TEXTS | _LISTS
_HASH = re.compile(r"^(\\*#)", re.MULTILINE)
_ESCAPED = re.compile(r"^\\(\\*#)", re.MULTILINE)
_CURE = "See one: feature://ID/prp/TASK, and docs/features.md."


def render(prp: Prp) -> str:
    """A PRP as Markdown."""
    data = prp.model_dump(mode="json")
    front = "".join(f"{name}: {json.dumps(data[name], ensure_ascii=False)}\n" for name in _FRONT)
    return f"---\n{front}---\n\n" + "\n".join(_sections(data))


def parse(text: str) -> Prp:
    """A PRP that stands in a Markdown text.

    Raises:
        InvalidArgument: it is none; the message names the line.
    """
    lines = "\n".join(text.splitlines()).strip().split("\n")
    if lines[0] != "---" or "---" not in lines[1:]:
        raise _wrong(1, "it does not begin with front matter between two lines of ---")
    end = lines.index("---", 1)
    data = _front(lines[1:end])
    for number, title, body in _cut(lines, end + 1):
        if title not in _SECTIONS:
            raise _wrong(
                number, f'there is no section "{title}".{did_you_mean(title, _SECTIONS)}'.rstrip(".")
            )
        if (name := _SECTIONS[title]) in data:
            raise _wrong(number, f'the section "{title}" is there twice')
        data[name] = _listed(number, body) if title in _LISTS else _ESCAPED.sub(r"\1", "\n".join(body))
    try:
        return Prp.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument("PRP", f"{where}: {first['msg']}", _CURE) from error


def _sections(data: Mapping[str, Any]) -> Iterator[str]:
    for title, name in _TEXTS.items():
        if data[name]:
            yield f"## {title}\n\n" + _HASH.sub(r"\\\1", data[name]) + "\n"
    for title, name in _LISTS.items():
        if data[name]:
            yield f"## {title}\n\n" + "".join(map(_item, data[name]))


def _item(text: str) -> str:
    first, *rest = text.split("\n")
    return "".join([f"- {first}\n", *(f"  {line}\n" if line else "\n" for line in rest)])


def _front(lines: list[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for number, line in enumerate(lines, 2):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or name not in _FRONT:
            raise _wrong(number, f'"{name}" is none of {", ".join(_FRONT)}')
        try:
            data[name] = json.loads(value)
        except ValueError:
            data[name] = value.strip()
    return data


def _cut(lines: list[str], start: int) -> Iterator[tuple[int, str, list[str]]]:
    """The sections: the line of each, its title, and its lines."""
    title, number, body = "", start, list[str]()
    for at, line in enumerate(lines[start:], start + 1):
        if line.startswith("## "):
            if title:
                yield number, title, body
            title, number, body = line[3:].strip(), at, []
        elif title:
            body.append(line)
        elif line.strip():
            raise _wrong(at, "text stands before the first section")
    if title:
        yield number, title, body


def _listed(number: int, body: list[str]) -> list[str]:
    items: list[list[str]] = []
    for at, line in enumerate(body, number + 1):
        if line.startswith("- "):
            items.append([line[2:]])
        elif items:
            items[-1].append(line.removeprefix("  "))
        elif line.strip():
            raise _wrong(at, "each item of this section begins with a hyphen and a space")
    return ["\n".join(item) for item in items]


def _wrong(line: int, why: str) -> InvalidArgument:
    return InvalidArgument("PRP", f"line {line}: {why}", _CURE)
