"""What a server says by itself: messages of its log, news of its resources, and questions to hosts.

The one rule: so much of it at a time. Notices that come faster than they can be passed on are left out, and a
server that asks on and on is given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import mcp.types as t

from pygent_registry.output import Output

MOST_QUESTIONS = 100
MOST_NOTICES = 100


@dataclass(kw_only=True)
class Events:
    """What a link tells the registry. Each is called on the event loop, and must not block."""

    changed: Callable[[], None]
    """The link's state or listing changed."""
    notified: Callable[[Any], Awaitable[None]]
    """Any other notification (log message, resource updated)."""
    asked: Callable[[str, Any], Awaitable[Any]]
    """A legacy server asks for sampling, elicitation or roots: (method, params) -> result or ErrorData."""


@dataclass(kw_only=True, eq=False)
class Voice:
    """The voice of a server in one life."""

    events: Events
    output: Output
    _questions: int = 0
    _notices: int = 0

    async def notified(self, message: Any) -> None:
        """Pass a notification on, unless there are too many."""
        if self._notices < MOST_NOTICES:
            self._notices += 1
            try:
                await self.events.notified(message)
            finally:
                self._notices -= 1

    async def logged(self, params: dict[str, Any]) -> None:
        """Pass a log message on, which is in no model of the SDK's yet."""
        message = {"method": "notifications/message", "params": params}
        await self.notified(t.LoggingMessageNotification.model_validate(message, by_name=False))

    def asker(self, method: str) -> Any:
        """The SDK's callback for the questions of one method."""

        async def asked(context: object, params: Any) -> Any:
            return await self._answer(method, params)

        return asked

    async def roots(self, context: object) -> Any:
        """The SDK's callback for `roots/list`, which has no params."""
        return await self._answer("roots/list", None)

    async def _answer(self, method: str, params: Any) -> Any:
        if self._questions >= MOST_QUESTIONS:
            self.output.give_up(f"asks more than {MOST_QUESTIONS} questions at once")
        self._questions += 1
        try:
            return await self.events.asked(method, params)
        finally:
            self._questions -= 1
