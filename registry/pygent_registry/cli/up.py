"""`pygent up`: every server of the config over HTTP."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import suppress

from pygent_shared.serve import add_setting_flags, settings_from

EXAMPLE = "pygent up --port 8700"


def configure(parser: ArgumentParser) -> None:
    add_setting_flags(parser)


def run(chosen: Namespace) -> int:
    settings = settings_from(vars(chosen))
    import anyio

    from pygent_registry.endpoint import serve_up
    from pygent_shared import logs, traces
    from pygent_shared.sweeping import leave_out

    logs.configure(settings)
    leave_out()
    with suppress(KeyboardInterrupt), traces.exported(settings, "pygent"):  # Ctrl-C is the way to end it
        anyio.run(serve_up, settings.over_http())
    return 0
