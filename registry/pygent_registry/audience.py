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

_CHANGES: dict[str, Callable[[], ToolsListChanged | PromptsListChanged | ResourcesListChanged]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}


class Audience:
    """Hosts of the 2026 era listen on `bus`; those of the 2025 era `join` and are written to."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self._sessions: dict[int, Any] = {}

    def join(self, context: ServerRequestContext[Any, Any]) -> None:
        """Take in a host of the 2025 era for as long as its connection lasts."""
        connection = context.session._connection
        self._sessions[id(connection)] = context.session
        connection.exit_stack.callback(self._sessions.pop, id(connection), None)

    async def tell_list_changed(self, kind: str, *, modern: bool) -> None:
        """To the hosts of one era: the list of this kind is another now."""
        if modern:
            await self.bus.publish(_CHANGES[kind]())
            return
        for session in list(self._sessions.values()):
            send = {
                "tools": session.send_tool_list_changed,
                "prompts": session.send_prompt_list_changed,
            }.get(kind, session.send_resource_list_changed)
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # that host has gone
                await send()

    async def tell(self, link: Link, message: Any) -> None:
        """What a server said: a resource's update to all, a log message to the host of its latest call."""
        if isinstance(message, t.ResourceUpdatedNotification):
            await self.bus.publish(ResourceUpdated(uri=str(message.params.uri)))
            for session in list(self._sessions.values()):
                await session.send_resource_updated(str(message.params.uri))
        elif isinstance(message, t.LoggingMessageNotification) and link.calls:
            context = link.calls[-1].context
            await context.session.send_log_message(
                message.params.level,
                message.params.data,
                message.params.logger,
                related_request_id=context.request_id,
            )
