"""`pygent logs`: what a server wrote to stderr, as kept by the `pygent up` that runs it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import add_json, add_settings
from pygent_registry.cli.terminal import note, print_json
from pygent_shared.errors import InvalidArgument

if TYPE_CHECKING:
    from pygent_shared.settings import Settings

EXAMPLE = "pygent logs github"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="A server of the config file.")
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.cli import session

    settings = session.quiet_settings(chosen)
    found = _asked(settings, chosen.name)
    if chosen.json:
        print_json(found)
    elif found["lines"]:
        print("\n".join(found["lines"]))
    elif found["kind"] == "stdio":
        note(f'The server "{chosen.name}" has written nothing to stderr; {_state(found)}.')
    else:
        why = "it runs inside pygent" if found["kind"] in ("in-process", "agent") else "it runs elsewhere"
        note(f'There is no log of "{chosen.name}": {why}; {_state(found)}.')
    return 0


def _state(found: Mapping[str, Any]) -> str:
    """The server's state as a clause, with the reason where there is one."""
    words = {"backoff": "down, and soon started again", "failed": "down, and left alone for a while"}
    state = f"it is {words.get(found['state'], found['state'])}"
    return f"{state}, as it {found['why']}" if found.get("why") else state


def _asked(settings: Settings, name: str) -> dict[str, Any]:
    """The running endpoint's answer.

    Raises:
        NothingRuns, TokenRefused: it cannot be asked.
        InvalidArgument: it has no such server.
    """
    from urllib.parse import quote

    from pygent_registry.cli.running import Running

    with Running(settings, "keeps logs") as running:
        status, found = running.ask(f"/servers/{quote(name, safe='')}/logs")
    if status != 200 or "lines" not in found:
        why = str(found.get("error", f"the answer was {status}")).rstrip(".")
        raise InvalidArgument("NAME", why, "See what there is: pygent list")
    return dict(found)
