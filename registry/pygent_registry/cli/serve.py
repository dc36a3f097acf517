"""`pygent serve`: what a host starts. Without a name the registry; with one, that server alone.

The one rule: the way to the registry imports nothing more than it needs, because hosts wait for it.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import suppress
from typing import TYPE_CHECKING

from pygent_registry.cli.parser import one_of
from pygent_shared import serve
from pygent_shared.settings import Settings

if TYPE_CHECKING:
    from pygent_shared.server import BuildServer

EXAMPLE = "pygent serve memory --transport http --port 8701"
REGISTRY = "pygent_registry.server:build_server"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="A server of the suite, or of the config file; without it, all behind one endpoint.",
    )
    parser.add_argument(
        "--transport",
        metavar="stdio|http",
        type=one_of("transport", ("stdio", "http")),
        default="stdio",
        help="How the host reaches it. [stdio]",
    )
    serve.add_setting_flags(parser)


def run(chosen: Namespace) -> int:
    settings = serve.settings_from(vars(chosen))
    target = _target(chosen.name, settings) if chosen.name else REGISTRY
    with suppress(KeyboardInterrupt):  # the way to end it
        serve.run(target, settings, transport=chosen.transport)
    return 0


def _target(name: str, settings: Settings) -> str | BuildServer:
    """The suite's server of that name, else the config file's.

    Raises:
        UnknownName: there is none.
        ServerUnavailable: its entry in the config file is disabled or in error.
    """
    from pygent_registry.cli.session import config_in_force, refuse_unusable
    from pygent_registry.endpoint import build_entry
    from pygent_registry.transports import suite_servers
    from pygent_shared.errors import UnknownName

    suite = suite_servers()
    if name in suite:
        return suite[name].value
    config = config_in_force(settings)
    refuse_unusable(config, name)
    entries = {entry.name: entry for entry in config.entries}
    if name not in entries:
        raise UnknownName("server", name, {*suite, *entries}, "See what there is: pygent list")
    return build_entry(config, entries[name])
