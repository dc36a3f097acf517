"""On which line of a TOML or YAML text each part of it stands, for errors that say so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Path = tuple[str, ...]

_TABLE = re.compile(r"^\s*\[([^\[\]]+)\]\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WORD = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class Lines:
    """Where the parts of a text stand, by their path."""

    def __init__(self, places: Mapping[Path, int]) -> None:
        self._places = places

    def of(self, path: Sequence[Any]) -> int | None:
        """The line of a part, else of the nearest part that it is in; None where there are no lines."""
        words = tuple(str(word) for word in path)
        while words:
            if words in self._places:
                return self._places[words]
            words = words[:-1]
        return 1 if self._places else None


def of_toml(text: str) -> Lines:
    """The lines of a TOML text that is sound."""
    places: dict[Path, int] = {}
    table: Path = ()
    quote = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        if found := _TABLE.match(line):
            table = _words(found[1])
            _note(places, table, number)
        elif found := _KEY.match(line):
            _note(places, table + _words(found[1]), number)
            _note_inline(places, table + _words(found[1]), line[found.end() :], number)
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                quote = mark
    return Lines(places)


def of_yaml(text: str) -> Lines:
    """The lines of a YAML text that is sound."""
    import yaml

    places: dict[Path, int] = {}

    def walk(node: Any, path: Path) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, item in node.value:
                here = (*path, str(key.value))
                places[here] = key.start_mark.line + 1
                walk(item, here)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                places[*path, str(index)] = item.start_mark.line + 1
                walk(item, (*path, str(index)))

    walk(yaml.compose(text, Loader=yaml.SafeLoader), ())
    return Lines(places)


def _words(dotted: str) -> Path:
    return tuple(word.strip("\"'") for word in _WORD.findall(dotted))


def _note(places: dict[Path, int], path: Path, number: int) -> None:
    for length in range(1, len(path) + 1):
        places.setdefault(path[:length], number)


def _note_inline(places: dict[Path, int], path: Path, rest: str, number: int) -> None:
    """The keys of a table that stands on the line."""
    for key in re.findall(r"[{,]\s*([\w-]+)\s*=", rest):
        places.setdefault((*path, key), number)
