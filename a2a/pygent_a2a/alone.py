"""`pygent-a2a` by itself: the agents are those of a registry that it starts, or of one that runs elsewhere.

The one rule: it is spoken to over MCP, as any host speaks to it.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial

from pygent_shared.errors import InvalidArgument, PygentError, ours
from pygent_shared.serve import add_setting_flags, settings_from
from pygent_shared.settings import Settings

EPILOG = "pygent up serves the same beside /mcp. See docs/a2a.md."


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to end; returns the exit code."""
    parser = ArgumentParser(description="Serve the factory's agents over A2A.", epilog=EPILOG)
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
    from pygent_a2a.suite import Suite
    from pygent_shared import logs, traces
    from pygent_shared.http.run import serve_http

    logs.configure(settings)
    suite = Suite(settings)
    front = build_front(settings, suite)
    if front is None:
        raise InvalidArgument("a2a", "off leaves nothing to be served", "Leave it out: pygent-a2a")
    with traces.exported(settings, "pygent-a2a"):
        anyio.run(partial(serve_http, {}, settings, fronts=[front], around=suite.running))
