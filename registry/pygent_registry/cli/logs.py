"""`pygent logs`: what a server wrote to stderr, as kept by the `pygent up` that runs it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import add_json, add_settings
from pygent_registry.cli.terminal import note, print_json
from pygent_shared.errors import CallerError, InvalidArgument, PeerError

if TYPE_CHECKING:
    from pygent_shared.settings import Settings

EXAMPLE = "pygent logs github"


class NothingRuns(PeerError):
    """No `pygent up` answers where it would be asked."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(
            f"No pygent up answers on {address}, and only that keeps logs. "
            f'Start it: pygent up — or see what is wrong with "{name}": pygent doctor'
        )


class TokenRefused(CallerError):
    """The running `pygent up` has another token than the one in this data folder."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The pygent up on {address} does not take this token. "
            "Name the data folder it was started with: --data-dir FOLDER, or set PYGENT_TOKEN"
        )


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
        why = "it runs inside pygent" if found["kind"] == "in-process" else "it runs elsewhere"
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

    import httpx

    from pygent_shared.http.token import token_file

    path = token_file(settings)
    token = settings.token or (path.read_text(encoding="utf-8").strip() if path.exists() else "")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{settings.port}"
    try:
        # A proxy named in the environment is not asked about this machine.
        with httpx.Client(base_url=address, timeout=10, trust_env=False) as http:
            if http.get("/health/live").json().get("program") != "pygent":  # the token is for no other
                raise NothingRuns(address, name)
            path_of_log = f"/servers/{quote(name, safe='')}/logs"
            answer = http.get(path_of_log, headers={"Authorization": f"Bearer {token}"} if token else {})
            if answer.status_code in (401, 403):
                raise TokenRefused(address)
            found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
        raise NothingRuns(address, name) from error
    if answer.status_code != 200 or "lines" not in found:
        why = str(found.get("error", f"the answer was {answer.status_code}")).rstrip(".")
        raise InvalidArgument("NAME", why, "See what there is: pygent list")
    return dict(found)
