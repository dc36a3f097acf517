"""Who has the floor at a server that asks without saying for which call.

Most servers never ask, and serve every host at once. One that has asked so serves one host at a time from
then on, so that a question reaches the user whose call it came with; while that user thinks, other hosts
are told to try again. A process for each host would not make them wait, but costs what the process costs,
and splits what the server remembers between them.
"""

from __future__ import annotations

import anyio

from pygent_registry.link import Link
from pygent_shared.errors import TooMany


class Floor:
    """One for all fronts of a registry: they share the links."""

    def __init__(self) -> None:
        self._askers: set[str] = set()
        self._freed = anyio.Event()

    def ask(self, link: Link) -> None:
        """This server has asked without saying for which call."""
        self._askers.add(link.entry.name)

    async def wait(self, link: Link, host: object, patience: float) -> None:
        """Wait until no other host's call is at a server that asks so.

        Raises:
            TooMany: that took longer than `patience` seconds.
        """
        if not self._is_taken(link, host):
            return
        with anyio.move_on_after(patience):
            while self._is_taken(link, host):
                await self._freed.wait()
            return
        raise TooMany(
            f'Server "{link.entry.name}"', "one host at a time, because it asks questions,", patience
        )

    def free(self, link: Link) -> None:
        """A call has left this server."""
        if link.entry.name in self._askers:
            freed, self._freed = self._freed, anyio.Event()
            freed.set()

    def _is_taken(self, link: Link, host: object) -> bool:
        if link.modern or link.entry.name not in self._askers:
            return False
        return any(call.host != host for call in link.calls)
