"""Which log messages hosts of the 2025 era want. Each sets a level for itself; a server has one for all."""

from __future__ import annotations

from typing import Any

from mcp.server.context import ServerRequestContext

from pygent_registry.era import is_modern

Context = ServerRequestContext[Any, Any]

# RFC 5424, section 6.2.1, the least urgent first.
ORDER = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
UNSAID = "info"
"""From here on a host is told that has set nothing, once a server says more because another host wants it."""


class Levels:
    """The level of each host that has set one, for as long as its connection lasts."""

    def __init__(self) -> None:
        self._set: dict[int, str] = {}

    def set(self, context: Context, level: str) -> None:
        connection = context.session._connection
        if id(connection) not in self._set:
            connection.exit_stack.callback(self._set.pop, id(connection), None)
        self._set[id(connection)] = level

    def of(self, context: Context) -> str | None:
        """What this host has set, if it has."""
        return self._set.get(id(context.session._connection))

    @property
    def least(self) -> str:
        """The level at which every host is told what it wants."""
        return min(self._set.values(), key=ORDER.index, default=UNSAID)

    def admit(self, context: Context, level: str) -> bool:
        """Whether this host wants a message of that level. One of the 2026 era says so with each request."""
        if is_modern(context.protocol_version) or not self._set:
            return True
        return ORDER.index(level) >= ORDER.index(self.of(context) or UNSAID)
