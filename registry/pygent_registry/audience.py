"""The hosts at one front, and what they are told without having asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import mcp.types as t
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

from pygent_registry.link import Link

Context = ServerRequestContext[Any, Any]

_CHANGES: dict[str, Callable[[], ToolsListChanged | PromptsListChanged | ResourcesListChanged]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}


class Audience:
    """Hosts of the 2026 era listen on `bus`; those of the 2025 era `join` and are written to.

    Args:
        may_see: whether a host may know of a resource.
    """

    def __init__(self, may_see: Callable[[Context, str], bool]) -> None:
        self.bus = InMemorySubscriptionBus()
        self._may_see = may_see
        self._hosts: dict[int, Context] = {}

    def join(self, context: Context) -> None:
        """Take in a host of the 2025 era for as long as its connection lasts."""
        connection = context.session._connection
        self._hosts[id(connection)] = context
        connection.exit_stack.callback(self._hosts.pop, id(connection), None)

    async def tell_list_changed(self, kind: str, *, modern: bool) -> None:
        """To the hosts of one era: the list of this kind is another now."""
        if modern:
            await self.bus.publish(_CHANGES[kind]())
            return
        for session in [host.session for host in self._hosts.values()]:
            send = {
                "tools": session.send_tool_list_changed,
                "prompts": session.send_prompt_list_changed,
            }.get(kind, session.send_resource_list_changed)
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # that host has gone
                await send()

    async def tell(self, link: Link, message: Any) -> None:
        """What a server said: a resource's update to all who see it, a log message to the host of its latest
        call.
        """
        if isinstance(message, t.ResourceUpdatedNotification):
            uri = str(message.params.uri)
            await self.bus.publish(ResourceUpdated(uri=uri))
            for host in [host for host in self._hosts.values() if self._may_see(host, uri)]:
                await host.session.send_resource_updated(uri)
        elif isinstance(message, t.LoggingMessageNotification) and link.calls:
            context = link.calls[-1].context
            await context.session.send_log_message(
                message.params.level,
                message.params.data,
                message.params.logger,
                related_request_id=context.request_id,
            )
