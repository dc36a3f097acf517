"""How a server of the suite reaches the others: through MCP, and only through this."""

from __future__ import annotations

from typing import Any, Protocol


class Peers(Protocol):
    """An MCP client to the rest of the suite. The registry hands one to the servers it hosts in-process."""

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The result (as on the wire) of the tool `server__tool`.

        Raises:
            UnknownName: no such tool is reachable.
            ServerUnavailable: its server cannot be reached.
        """

    async def list_tools(self) -> list[dict[str, Any]]:
        """The definitions (as on the wire) of all tools there are, under the names that `call_tool` takes."""
