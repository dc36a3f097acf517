"""What a server said besides the protocol, and how its connection ended."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from pygent_registry.pipes import MOST_BYTES
from pygent_registry.wire import Wire
from pygent_shared.errors import LaunchRefused

KEPT_STDERR_LINES = 200


@dataclass
class Output:
    """What a child said besides the protocol, and how it ended."""

    hide: Callable[[str], str] = str
    """Takes secrets out of what it said."""
    stderr: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_STDERR_LINES))
    rubbish: int = 0
    """Lines on stdout that were no JSON-RPC message."""
    last_rubbish: str = ""
    pid: int | None = None
    status: int | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)
    """Set when the connection is of no more use."""
    fault: str = ""
    """Why it is of no more use, in a clause, where the connection did not simply end."""
    cure: str = ""
    """What to type where it was not started at all."""
    wire: Wire | None = None
    """For requests past the SDK, while the child runs."""
    most_bytes: int = MOST_BYTES
    """Longest message that it may write."""

    def give_up(self, why: str) -> None:
        """The connection is of no more use."""
        self.fault = self.fault or why
        self.ended.set()

    def refused(self, why: str, cure: str) -> LaunchRefused:
        """The error to raise where it is not started; what to type about it is kept for whoever asks."""
        self.cure = cure
        return LaunchRefused(why, cure)

    def last_words(self) -> str:
        """A clause for an error message: its exit, its last line on stderr, and what it wrote to stdout."""
        words = []
        if self.status is not None:
            words.append(_ended(self.status))
        if line := next((line for line in reversed(self.stderr) if line.strip()), ""):
            words.append(f'its last line on stderr was "{line.strip()[:300]}"')
        if self.rubbish:
            words.append(
                f'it wrote {self.rubbish} lines to stdout that are no MCP, such as "{self.last_rubbish}"'
            )
        return "; ".join(words)


def _ended(status: int) -> str:
    if status < 0:
        return f"it was killed by {signal.Signals(-status).name}"
    return f"it exited with status {status}"
