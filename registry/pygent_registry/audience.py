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
    ToolsListChanged,
)

from pygent_registry import calls
from pygent_registry.levels import Levels
from pygent_registry.link import Link
from pygent_registry.subscriptions import Subscriptions

_CHANGES: dict[str, Callable[[], ToolsListChanged | PromptsListChanged | ResourcesListChanged]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}


class Audience:
    """Hosts of the 2026 era listen on `bus`; those of the 2025 era `join` and are written to."""

    def __init__(self, levels: Levels) -> None:
        self.bus = InMemorySubscriptionBus()
        self.subscriptions = Subscriptions(self.bus)
        self._levels = levels
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
        """What a server said: a log message to the host of the call it is from, an update to who wants it."""
        if isinstance(message, t.ResourceUpdatedNotification):
            if not link.modern:  # one of the 2026 era is listened to
                await self.subscriptions.tell(link.entry.name, str(message.params.uri))
        elif isinstance(message, t.LoggingMessageNotification):
            if (call := calls.meant(link)) is None or call.front is not self:
                return
            context = call.context
            if not self._levels.admit(context, message.params.level):
                return
            await call.telling.tell(
                context.session.send_log_message,
                message.params.level,
                message.params.data,
                message.params.logger,
                related_request_id=context.request_id,
            )
