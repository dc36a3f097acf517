"""Patterns of files: a path with wildcards, as `~/notes/**/*.md`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_MAGIC = re.compile(r"[*?[]")


def is_pattern(path: Path) -> bool:
    """Whether a path holds a wildcard, and is none that is there by that very name."""
    return bool(_MAGIC.search(str(path))) and not os.path.lexists(path)


def fixed(parts: Sequence[str]) -> int:
    """How many parts of a path come before its first wildcard."""
    return next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts))


def watched_folder(again: str) -> str | None:
    """The folder below which changes concern a source that is no page; None for a single file."""
    parts = Path(again).parts
    if os.path.lexists(again) or (count := fixed(parts)) == len(parts):
        return again if os.path.isdir(again) else None
    return str(Path(*parts[:count]))


@dataclass(frozen=True)
class Pattern:
    """A glob below a folder: `*`, `?`, `[…]` within a name, `**` for any folders."""

    folder: Path
    parts: tuple[str, ...]

    def matches(self, path: str) -> bool:
        return bool(self._regex.fullmatch(path))

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        separator = re.escape(os.sep)
        made = re.escape(str(self.folder).rstrip(os.sep))
        for number, part in enumerate(self.parts):
            last = number + 1 == len(self.parts)
            if part == "**":
                made += f"{separator}.+" if last else f"(?:{separator}[^{separator}]+)*"
            else:
                made += separator + _translated(part, separator)
        return re.compile(made, re.DOTALL)


def _translated(part: str, separator: str) -> str:
    """One name of a glob as a regular expression."""
    made = ""
    for found in re.finditer(r"\[(!?)(]?[^]]*)]|(.)", part):
        if found[3] is None:
            made += f"[{'^' if found[1] else ''}{re.escape(found[2]).replace(chr(92) + '-', '-')}]"
        else:
            made += {"*": f"[^{separator}]*", "?": f"[^{separator}]"}.get(found[3], re.escape(found[3]))
    return made
