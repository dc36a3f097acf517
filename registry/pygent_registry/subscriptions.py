"""What hosts of the 2026 era watch, as subscriptions with servers of the 2025 era.

A host of the 2026 era names the resources it watches when it begins to listen. A server of the 2025 era wants
to be asked for each, and once only, however many hosts watch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
from mcp import MCPError

from pygent_registry.link import Link
from pygent_shared.errors import PygentError

PARTING_SECONDS = 5.0
"""How long the end of a subscription may take; a server that says nothing keeps it."""


class Subscriptions:
    """One for each resource that somebody watches.

    Args:
        owner: finds the server that a resource is of, for the host of a request.
    """

    def __init__(self, owner: Callable[[Any, str], Awaitable[Link]]) -> None:
        self._owner = owner
        self._watchers: Counter[str] = Counter()

    @asynccontextmanager
    async def held(self, context: Any, uris: Iterable[str]) -> AsyncIterator[None]:
        """Watch these resources while the block runs. One that nobody offers, or whose server takes no
        subscriptions, is left out: there is nothing to be told of it.
        """
        async with AsyncExitStack() as stack:
            for uri in uris:
                with suppress(MCPError, PygentError):
                    await stack.enter_async_context(self._one(await self._owner(context, uri), uri))
            yield

    @asynccontextmanager
    async def _one(self, link: Link, uri: str) -> AsyncIterator[None]:
        if link.modern:
            yield
            return
        if not self._watchers[uri]:
            await link.request("resources/subscribe", {"uri": uri})
        self._watchers[uri] += 1
        try:
            yield
        finally:
            self._watchers[uri] -= 1
            if not self._watchers[uri]:
                del self._watchers[uri]
                with anyio.move_on_after(PARTING_SECONDS, shield=True), suppress(MCPError, PygentError):
                    await link.request("resources/unsubscribe", {"uri": uri})
