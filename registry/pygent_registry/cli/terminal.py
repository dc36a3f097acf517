"""What a person sees: progress on stderr where that is a terminal, columns, lines that fit."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Self


class Progress:
    """A progress bar on stderr; nothing where stderr is no terminal. It appears with the first report."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown = sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    async def report(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """MCP progress: how much is done, of how much, and what is being done."""
        if not self._shown:
            return
        if self._bar is None:
            self._bar = _bar(self._title, _plain(total))
        self._bar.total, self._bar.n = _plain(total), _plain(done)
        self._bar.set_postfix_str(message or "", refresh=False)
        self._bar.refresh()


def _bar(title: str, total: float | None) -> Any:
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread
    form = "{desc}: {percentage:3.0f}% {bar} {n_fmt}/{total_fmt}{postfix}"
    return tqdm(desc=title, file=sys.stderr, leave=False, dynamic_ncols=True, total=total, bar_format=form)


def _plain(number: float | None) -> float | None:
    """3.0 is shown as 3."""
    return int(number) if number is not None and float(number).is_integer() else number


def note(text: str) -> None:
    """Something beside the result: it goes to stderr."""
    print(text, file=sys.stderr)


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def columns(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Lines in which the cells stand below each other, cut to the terminal."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, cells)) for cells in list(zip(*table, strict=True))[:-1]]
    return [
        fitting(indent + "  ".join([*map(str.ljust, row[:-1], widths), row[-1]]).rstrip()) for row in table
    ]


def fitting(line: str) -> str:
    """The line, cut to the width of the terminal where stdout is one."""
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: width - 1] + "…"


def counted(number: int, noun: str) -> str:
    """`1 tool`, `2 tools`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_sentence(text: str | None) -> str:
    """The first sentence of a docstring, in one line."""
    return " ".join((text or "").split()).partition(". ")[0].rstrip(".:") + "."
