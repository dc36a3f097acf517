"""Running one `build_server` as a program: over stdio for a host that starts it, or over streamable HTTP.

A stdio server ends when its stdin does, and when the process that started it is gone even though somebody
else still holds the pipe. The one rule: nothing heavy is imported before the arguments are known.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pygent_shared.errors import PygentError
from pygent_shared.settings import Settings, find_config, load_settings, read_config, rows

if TYPE_CHECKING:
    import anyio
    from mcp.server.lowlevel import Server

PARENT_POLL_SECONDS = 1.0


def serve(target: str, argv: Sequence[str] | None = None) -> int:
    """Parse the command line and serve what `target` ("package.module:build_server") builds.

    Returns the exit code: 0 after a normal end, 1 for a failure here, 2 for a usage error.
    """
    parser = argparse.ArgumentParser(description=f"Serve {target.partition('.')[0]} over MCP.")
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio")
    add_setting_flags(parser)
    chosen = vars(parser.parse_args(argv))
    try:
        settings = settings_from(chosen)
        return run(target, settings, transport=chosen["transport"])
    except PygentError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each setting."""
    group = parser.add_argument_group("settings")
    for setting in rows():
        if not setting.secret:
            flag = "--" + setting.name.replace("_", "-")
            group.add_argument(
                flag, metavar=setting.name.upper(), help=f"{setting.help} [{setting.default!s:.40}]"
            )


def settings_from(chosen: Mapping[str, Any]) -> Settings:
    """The settings in force for parsed flags."""
    path = find_config(chosen.get("config"))
    config = read_config(path) if path else {}
    flags: dict[str, object] = {setting.name: chosen.get(setting.name) for setting in rows()}
    return load_settings(config, flags | {"config": str(path) if path else None})


def run(target: str, settings: Settings, *, transport: str) -> int:
    """Build the server and serve it until it is told to end."""
    import gc

    gc.disable()  # importing the SDK allocates much and frees nothing: a tenth of the start is collections
    import anyio

    from pygent_shared import logs

    logs.configure(settings)
    server = lowlevel(pkgutil.resolve_name(target)(settings, None))
    gc.enable()
    if transport == "http":
        from pygent_shared.http.run import serve_http

        anyio.run(serve_http, {"/mcp": server}, settings)
    else:
        anyio.run(serve_stdio, server, settings)
    return 0


def lowlevel(server: Any) -> Server[Any]:
    """The SDK's low-level server inside an `MCPServer`, or the low-level server itself."""
    inside: Server[Any] = getattr(server, "_lowlevel_server", server)
    return inside


async def serve_stdio(server: Server[Any], settings: Settings) -> None:
    """Serve this process's stdin and stdout until stdin ends, a signal comes, or the parent is gone."""
    import anyio
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        async with anyio.create_task_group() as watchers:
            with anyio.CancelScope() as serving:
                watchers.start_soon(_end_on_signal, serving)
                if settings.exit_with_parent != "no":
                    watchers.start_soon(_end_with_parent, serving)
                await server.run(read, write, server.create_initialization_options())
            watchers.cancel_scope.cancel()
        if serving.cancelled_caught:
            # All of ours is closed by now, but a thread sits in read(0) and cannot be cancelled.
            sys.stderr.flush()
            os._exit(0)


async def _end_on_signal(serving: anyio.CancelScope) -> None:
    import anyio

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            serving.cancel()
            return


async def _end_with_parent(serving: anyio.CancelScope) -> None:
    import anyio

    parent = os.getppid()
    while os.getppid() == parent:
        await anyio.sleep(PARENT_POLL_SECONDS)
    serving.cancel()
