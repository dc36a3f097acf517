"""A terminal as a screen: pictures drawn over each other, and keys read as they are pressed.

What was on the terminal comes back at the end, however that comes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_REST_OF_LINE = "\x1b[K"
_REST = "\x1b[J"


class Screen:
    """Used as a context manager."""

    def __enter__(self) -> Self:
        self._before: Any = None
        if sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(_LEAVE)
        if sys.platform != "win32":
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def show(self, lines: Iterable[str]) -> None:
        """Draw these over what was there; lines that do not fit the height are left out."""
        import shutil

        fitting = list(lines)[: shutil.get_terminal_size().lines]
        self._write(_HOME + "\n".join(line + _REST_OF_LINE for line in fitting) + _REST)

    def key(self, seconds: float) -> str:
        """The key that is pressed within this time; "" where none is. At the end of input, `q`."""
        if sys.platform == "win32":
            time.sleep(seconds)
            return ""
        import os
        import select

        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return os.read(sys.stdin.fileno(), 16).decode(errors="replace")[:1] or "q" if ready else ""

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
