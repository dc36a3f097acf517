"""Damaged parts, set aside."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO


class Aside:
    """The file that the damaged parts of an import are copied to; made at the first.

    Args:
        path: what is imported; the file lies beside it.
        otherwise: the folder for it where that cannot be written.
        dry_run: copy nothing.
    """

    def __init__(self, path: Path, otherwise: Path, *, dry_run: bool) -> None:
        self._places = [path.with_name(f"{path.name}.damaged"), otherwise / f"{path.name}.damaged"]
        self._dry_run = dry_run
        self._file: TextIO | None = None
        self.path: Path | None = None

    def add(self, text: str) -> None:
        """Copy a part, word for word."""
        if self._dry_run or not text:
            return
        self._file = self._file or self._opened()
        self._file.write(text.rstrip("\n") + "\n")

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> TextIO:
        for place in self._places:
            try:
                file = place.open("w", encoding="utf-8", errors="surrogateescape", newline="\n")
            except OSError:
                if place == self._places[-1]:
                    raise
            else:
                self.path = place
                return file
        raise AssertionError("unreachable")
