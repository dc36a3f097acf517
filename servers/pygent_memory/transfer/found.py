"""What a file to import holds, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pygent_memory.memory import Draft

Outcome = Literal["added", "duplicate", "kept out"]
"""`kept out`: it was here, and has been forgotten, replaced or ended since."""

Watch = Callable[[int, int], None]
"""Called with what is done and what there is in all; ends the import by raising."""

SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A node of the graph."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """An edge of the graph; its ends are names, which need not exist."""

    source: str
    type: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A part of the file that cannot be taken over: where it begins, why not, and what stood there ("" where
    that is a whole file, which stays where it is)."""

    place: str
    why: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A field that a format has and we do not."""

    field: str


Found = Draft | Entity | Relation | Damaged | LeftOut


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way to write memories down: whether a file looks like it, given its beginning, and its reader."""

    name: str
    title: str
    fits: Callable[[Path, str], bool]
    read: Callable[[Path], Iterator[Found]]


@dataclass(kw_only=True)
class Imported:
    """What an import did, or in a dry run would do. `damaged` are the first problems of `problems`."""

    format: str
    dry_run: bool
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    entities: int = 0
    relations: int = 0
    problems: int = 0
    damaged: list[Damaged] = field(default_factory=list)
    aside: Path | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def problem(self, damaged: Damaged) -> None:
        """Count a problem, and keep it if there are few."""
        self.problems += 1
        if len(self.damaged) < SHOWN:
            self.damaged.append(damaged)


def texts(value: Mapping[str, Any], *names: str) -> str:
    """The first of some fields that holds text; "" where none does."""
    return next((found for name in names if isinstance(found := value.get(name), str) and found.strip()), "")
