"""Running one `build_server` as a program: over stdio for a host that starts it, or over streamable HTTP.

A stdio server ends when its stdin does, and when the process that started it is gone even though somebody
else still holds the pipe (`pygent_shared.stdio`). The one rule: nothing heavy is imported before the
arguments are known.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

import pygent_shared.ending  # noqa: F401  (it looks which process started this one: the earlier, the surer)
from pygent_shared.errors import PygentError, ours
from pygent_shared.settings import Settings, as_text, find_config, load_settings, read_config, rows

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from pygent_shared.server import BuildServer


def serve(target: str, argv: Sequence[str] | None = None, *, epilog: str = "") -> int:
    """Parse the command line and serve what `target` ("package.module:build_server") builds. The epilog ends
    its help.

    Returns the exit code: 0 after a normal end, 1 for a failure here, 2 for a usage error.
    """
    parser = argparse.ArgumentParser(description=f"Serve {target.partition('.')[0]} over MCP.", epilog=epilog)
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio")
    add_setting_flags(parser)
    chosen = vars(parser.parse_args(argv))
    code = 0
    try:
        code = run(target, settings_from(chosen), transport=chosen["transport"])
    except* PygentError as errors:
        for error in ours(errors):
            print(error, file=sys.stderr)
            code = max(code, error.exit_code)
    except* KeyboardInterrupt:
        pass
    return code


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each setting. A secret has none: other users can read a command line."""
    secrets = " ".join(f"{setting.variable}: {setting.help}" for setting in rows() if setting.secret)
    group = parser.add_argument_group("settings", f"Only as a variable or in the config file: {secrets}")
    for setting in rows():
        if not setting.secret:
            flag = "--" + setting.name.replace("_", "-")
            explained = f"{setting.help} [{as_text(setting.default) or 'none'}]"
            group.add_argument(flag, metavar=setting.name.upper(), help=explained.replace("%", "%%"))


def settings_from(chosen: Mapping[str, Any]) -> Settings:
    """The settings in force for parsed flags."""
    path = find_config(chosen.get("config"))
    config = read_config(path) if path else {}
    flags: dict[str, object] = {setting.name: chosen.get(setting.name) for setting in rows()}
    return load_settings(config, flags | {"config": str(path) if path else None})


def run(target: str | BuildServer, settings: Settings, *, transport: str) -> int:
    """Build the server (`target` is the function, or where it is) and serve it until it is told to end."""
    import gc

    gc.disable()  # importing the SDK allocates much and frees nothing: a tenth of the start is collections
    import anyio

    from pygent_shared import logs, traces
    from pygent_shared.sweeping import leave_out

    logs.configure(settings)
    with redirect_stdout(sys.stderr):  # what an import prints would reach the host as protocol
        build = pkgutil.resolve_name(target) if isinstance(target, str) else target
        server = lowlevel(build(settings.over_http() if transport == "http" else settings, None))
    leave_out()
    gc.enable()
    with traces.exported(settings, server.name):
        if transport == "http":
            from pygent_shared.http.run import serve_http

            # What the server's own HTTP front shows beside it, where it has something to show.
            options: dict[str, Any] = getattr(server, "http_options", dict)()
            anyio.run(partial(serve_http, {"/mcp": server}, settings, **options))
        else:
            from pygent_shared.stdio import serve_stdio

            anyio.run(serve_stdio, server, settings)
    return 0


def lowlevel(server: Any) -> Server[Any]:
    """The SDK's low-level server inside an `MCPServer`, or the low-level server itself; traced."""
    from pygent_shared.traces import traced

    inside: Server[Any] = getattr(server, "_lowlevel_server", server)
    traced(inside.middleware)
    return inside
