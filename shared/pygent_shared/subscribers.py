"""Who wants to hear that a resource of a server of the suite changed.

Hosts of the 2026 era listen on the SDK's bus; those of the 2025 era subscribe here, until they leave.
"""

from __future__ import annotations

from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.shared.subscriptions import ResourceUpdated
from mcp.types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from pygent_shared.server import SuiteServer


class Subscribers:
    """Those of one server."""

    def __init__(self, server: SuiteServer[Any]) -> None:
        self._server = server
        self._sessions: dict[tuple[int, str], Any] = {}
        # The SDK has no other door for clients of the 2025 era.
        inside = server._lowlevel_server
        inside.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        inside.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)

    def tell(self, context: Context[Any], uri: str) -> None:
        """Tell them that it changed. From a worker thread."""
        anyio.from_thread.run(self.told, context, uri)

    async def told(self, context: Context[Any], uri: str) -> None:
        """As `tell`, in the server's own loop."""
        await self.changed(uri)

    async def changed(self, uri: str) -> None:
        """Tell them, of no call's doing."""
        await self._server._subscriptions.publish(ResourceUpdated(uri=uri))
        for (_, wanted), session in list(self._sessions.items()):
            if wanted == uri:
                await session.send_resource_updated(uri)

    async def _subscribe(
        self, context: ServerRequestContext[Any, Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        connection = context.session._connection
        key = (id(connection), str(params.uri))
        if key not in self._sessions:
            connection.exit_stack.callback(self._sessions.pop, key, None)
        self._sessions[key] = context.session
        return EmptyResult()

    async def _unsubscribe(
        self, context: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        self._sessions.pop((id(context.session._connection), str(params.uri)), None)
        return EmptyResult()
