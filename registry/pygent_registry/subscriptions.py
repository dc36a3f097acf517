"""Who wants to hear that a resource changed, and its server told so, once for all of them.

A server of the 2025 era is sent `resources/subscribe`; one of the 2026 era is listened to. Both again when
the server comes back. Hosts of the 2025 era are written to; those of the 2026 era listen on the bus.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp import MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated

from pygent_registry.link import Link
from pygent_shared.errors import PygentError

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0

Context = ServerRequestContext[Any, Any]


@dataclass(kw_only=True, eq=False)
class Wanted:
    """One resource of one server, and who wants it."""

    link: Link
    uri: str
    sessions: dict[int, Any] = field(default_factory=dict)
    """Hosts of the 2025 era, by their connections."""
    listeners: int = 0
    """Streams of hosts of the 2026 era."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @property
    def is_wanted(self) -> bool:
        return bool(self.sessions or self.listeners)


class Subscriptions:
    """The resources that the hosts of one front want to hear of."""

    def __init__(self, bus: InMemorySubscriptionBus) -> None:
        self._bus = bus
        self._wanted: dict[tuple[str, str], Wanted] = {}
        self._opening = anyio.Lock()

    async def join(self, context: Context, link: Link, uri: str, tasks: TaskGroup) -> None:
        """Let a host of the 2025 era hear of it until it leaves or its connection ends.

        Raises:
            MCPError, ServerUnavailable: the server refuses, or is down.
        """
        connection = context.session._connection
        wanted = await self._open(link, uri, tasks)
        if id(connection) not in wanted.sessions:
            connection.exit_stack.callback(self._gone, wanted, id(connection))
        wanted.sessions[id(connection)] = context.session

    async def leave(self, context: Context, uri: str) -> None:
        """A host of the 2025 era wants to hear of it no more."""
        for wanted in [wanted for wanted in self._wanted.values() if wanted.uri == uri]:
            self._gone(wanted, id(context.session._connection))

    @asynccontextmanager
    async def held(self, links: Mapping[str, Link], tasks: TaskGroup) -> AsyncIterator[None]:
        """While a host of the 2026 era listens: these URIs, of these servers.

        Raises:
            MCPError, ServerUnavailable: a server refuses, or is down.
        """
        held: list[Wanted] = []
        try:
            for uri, link in links.items():
                wanted = await self._open(link, uri, tasks)
                wanted.listeners += 1
                held.append(wanted)
            yield
        finally:
            for wanted in held:
                wanted.listeners -= 1
                self._end_unless_wanted(wanted)

    async def tell(self, server: str, uri: str) -> None:
        """This server says that this resource changed; of others' resources it has nothing to say."""
        if (wanted := self._wanted.get((server, uri))) is None:
            return
        await self._bus.publish(ResourceUpdated(uri=uri))
        for session in list(wanted.sessions.values()):
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # that host has gone
                await session.send_resource_updated(uri)

    async def _open(self, link: Link, uri: str, tasks: TaskGroup) -> Wanted:
        """The resource as it is heard of, from now on if it was not before."""
        key = link.entry.name, uri
        async with self._opening:
            if key not in self._wanted:
                wanted = Wanted(link=link, uri=uri)
                if error := await tasks.start(self._follow, wanted):
                    raise error
                self._wanted[key] = wanted
            return self._wanted[key]

    async def _follow(self, wanted: Wanted, *, task_status: TaskStatus[Exception | None]) -> None:
        """Hear of a resource until nobody wants it; the first refusal ends it, a later one is tried again."""
        begun = False

        def ready() -> None:
            nonlocal begun
            if not begun:
                begun = True
                task_status.started()

        with wanted.scope:
            while True:
                try:
                    await self._hear(wanted, ready)
                except (MCPError, PygentError, SubscriptionLost, TimeoutError) as error:
                    if not begun:
                        task_status.started(error)
                        return
                    log.info(
                        'Server "%s": %s is not heard of now: %s', wanted.link.entry.name, wanted.uri, error
                    )
                await anyio.sleep(AGAIN_SECONDS)

    async def _hear(self, wanted: Wanted, ready: Any) -> None:
        """Over one connection of the server."""
        link, uri = wanted.link, wanted.uri
        client = await link.client()
        ended = link.output.ended
        if link.modern:
            async with client.listen(resource_subscriptions=[uri]) as events:
                ready()
                async for _ in events:
                    await self.tell(link.entry.name, uri)
            return
        await link.request("resources/subscribe", {"uri": uri})
        ready()
        try:
            await ended.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(1, shield=True), suppress(MCPError, PygentError):
                await link.request("resources/unsubscribe", {"uri": uri})
            raise

    def _gone(self, wanted: Wanted, connection: int) -> None:
        wanted.sessions.pop(connection, None)
        self._end_unless_wanted(wanted)

    def _end_unless_wanted(self, wanted: Wanted) -> None:
        key = wanted.link.entry.name, wanted.uri
        if not wanted.is_wanted and self._wanted.get(key) is wanted:
            del self._wanted[key]
            wanted.scope.cancel()
