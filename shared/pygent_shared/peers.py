"""How a server of the suite reaches the others: through MCP, and only through this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Peers(Protocol):
    """An MCP client to the rest of the suite. The registry hands one to the servers it hosts in-process."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], *, asking: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The result (as on the wire) of the tool `server__tool`.

        Args:
            asking: there is a user who can be asked (elicitation), and the result may be `input_required`. It
                is {} first, and then, with the same arguments, the `inputResponses` and the `requestState`.

        Raises:
            UnknownName: no such tool is reachable.
            ServerUnavailable: its server cannot be reached.
        """

    async def list_tools(self) -> list[dict[str, Any]]:
        """The definitions (as on the wire) of all tools there are, under the names that `call_tool` takes."""


def asked_with(asking: Mapping[str, Any] | None) -> dict[str, Any]:
    """`asking` as an argument of `call_tool`; none where there is no user, as most peers know of none."""
    return {} if asking is None else {"asking": asking}
