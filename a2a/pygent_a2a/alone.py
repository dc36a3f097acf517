"""`pygent-a2a` by itself: the suite behind it is a registry that it starts, or one that runs elsewhere.

The one rule: it is spoken to over MCP, as any host speaks to it.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pygent_shared.errors import PygentError, ServerUnavailable, ours
from pygent_shared.serve import add_setting_flags, settings_from

if TYPE_CHECKING:
    from mcp import Client

    from pygent_shared.fronts import Progress
    from pygent_shared.http.identity import Principal
    from pygent_shared.settings import Settings

REGISTRY = ("-m", "pygent_registry")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to end; returns the exit code."""
    parser = ArgumentParser(description="Serve the factory's agents over A2A.")
    add_setting_flags(parser)
    chosen = vars(parser.parse_args(argv))
    code = 0
    try:
        _serve(settings_from(chosen))
    except* PygentError as errors:
        for error in ours(errors):
            print(error, file=sys.stderr)
            code = max(code, error.exit_code)
    except* KeyboardInterrupt:
        pass
    return code


def _serve(settings: Settings) -> None:
    import anyio

    from pygent_a2a.front import build_front
    from pygent_shared import logs, traces
    from pygent_shared.http.run import serve_http

    logs.configure(settings)
    tools = Suite(settings)
    front = build_front(settings, tools)
    with traces.exported(settings, "pygent-a2a"):
        anyio.run(partial(serve_http, {}, settings, fronts=[front], around=tools.running))


class Suite:
    """An MCP client to a registry: the one at `a2a_suite`, or a child of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected while the block runs."""
        from mcp import Client

        async with Client(self._transport()) as client:
            self._client = client
            try:
                yield
            finally:
                self._client = None

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        caller: Principal | None = None,
        progress: Progress | None = None,
        meta: Mapping[str, Any] = MappingProxyType({}),
    ) -> dict[str, Any]:
        from pygent_shared.caller import META, named

        if self._client is None:
            raise ServerUnavailable("registry", "is not connected", "Start it again: pygent-a2a")
        told: Any = {**meta, **({META: who} if (who := named(caller)) else {})}
        result = await self._client.call_tool(name, arguments, progress_callback=progress, meta=told or None)
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)

    def _transport(self) -> Any:
        from mcp.client.stdio import StdioServerParameters, stdio_client

        environ = self._settings.environ()
        return stdio_client(StdioServerParameters(command=sys.executable, args=list(REGISTRY), env=environ))
