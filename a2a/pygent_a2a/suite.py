"""The suite behind an A2A server that runs by itself: a registry, spoken to over MCP."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import anyio

from pygent_shared.caller import told
from pygent_shared.errors import ServerUnavailable
from pygent_shared.fronts import Progress
from pygent_shared.http.identity import Principal
from pygent_shared.http.token import bearer_token
from pygent_shared.settings import Settings

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import ElicitResult

log = logging.getLogger(__name__)

REGISTRY = ("-m", "pygent_registry")
PATIENCE_SECONDS = 30.0
"""How long a call waits for the registry to be there."""
PAUSE_SECONDS = 1.0


class Suite:
    """`pygent_shared.fronts.Tools` of the registry at `a2a_suite`, or of one that this process starts; where
    that is lost, it is connected anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._connected = anyio.Event()
        self._lost = anyio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be connected, or about to be, while the block runs."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stay)
            yield
            tasks.cancel_scope.cancel()

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        caller: Principal | None = None,
        progress: Progress | None = None,
        meta: Mapping[str, Any] = MappingProxyType({}),
        asking: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        sent: Any = {**meta, **told(caller)}
        client = await self._there()
        try:
            call: Any = client.call_tool
            if asking is not None:
                call = partial(client.session.call_tool, allow_input_required=True, **_answers(asking))
            result = await call(name, arguments, progress_callback=progress, meta=sent or None)
        except (MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            if isinstance(error, MCPError) and error.error.code != CONNECTION_CLOSED:
                raise
            self._lost.set()
            raise self._unavailable("ended in the middle of a call") from error
        wire: dict[str, Any] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return wire

    async def _there(self) -> Client:
        with anyio.move_on_after(PATIENCE_SECONDS):
            while self._client is None:
                await self._connected.wait()
        if self._client is None:
            raise self._unavailable("cannot be reached")
        return self._client

    async def _stay(self) -> None:
        """Connect, and connect again."""
        from mcp import Client

        while True:
            try:
                async with (
                    self._transport() as transport,
                    Client(transport, elicitation_callback=_unasked) as client,
                ):
                    self._client, self._lost = client, anyio.Event()
                    self._connected.set()
                    await self._lost.wait()
            except Exception as error:  # noqa: BLE001  (whatever ended it, it is tried again)
                log.warning("The registry is not connected, and is tried again: %s", error)
            finally:
                self._client, self._connected = None, anyio.Event()
            await anyio.sleep(PAUSE_SECONDS)

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[Any]:
        if url := self._settings.a2a_suite:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            headers = {"Authorization": f"Bearer {bearer_token(self._settings)}"}
            async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=300)) as http:
                yield streamable_http_client(url, http_client=http)
            return
        from mcp.client.stdio import StdioServerParameters, stdio_client

        environ = {**os.environ, **self._settings.environ()}  # with the keys of models
        yield stdio_client(StdioServerParameters(command=sys.executable, args=list(REGISTRY), env=environ))

    def _unavailable(self, why: str) -> ServerUnavailable:
        where = self._settings.a2a_suite or "python -m pygent_registry"
        return ServerUnavailable("registry", f"{why} ({where})", "Look at it: pygent doctor")


def _answers(asking: Mapping[str, Any]) -> dict[str, Any]:
    """`asking` as the SDK has it."""
    from mcp.types import ElicitResult

    if not asking:
        return {}
    given = {key: ElicitResult.model_validate(answer) for key, answer in asking["inputResponses"].items()}
    return {"input_responses": given, "request_state": asking["requestState"]}


async def _unasked(context: Any, params: Any) -> ElicitResult:
    """Questions come with the results of calls; to declare that they may, something must stand here."""
    from mcp.types import ElicitResult

    return ElicitResult(action="cancel")
