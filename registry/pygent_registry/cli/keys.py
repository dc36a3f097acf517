"""`pygent keys`: API keys for callers over HTTP, each with a name, and one by one revocable."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import Parser, UsageInvalid, add_json, add_settings, one_of
from pygent_registry.cli.terminal import columns, note, print_json
from pygent_shared.errors import UnknownName

if TYPE_CHECKING:
    from pygent_shared.http.keys import Key, KeyFile
    from pygent_shared.settings import Settings

EXAMPLE = "pygent keys add laptop --role reader --expires 90d"
WHAT = ("add", "list", "revoke", "restore")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        type=one_of("part of pygent keys", WHAT),
        metavar="add|list|revoke|restore",
        help="make a key; show them; take one's access; give it back",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="The key's name, or its id.")
    parser.add_argument(
        "--role",
        metavar="R",
        action="append",
        help="A role of the config it is bound to; else it may do all.",
    )
    parser.add_argument(
        "--expires", metavar="TIME", type=lifetime, help="When it ends, such as 12h, 30d or 8w."
    )
    parser.add_argument("--all", action="store_true", help="List revoked and expired keys too.")
    add_json(parser)
    add_settings(parser)
    assert isinstance(parser, Parser)
    parser.split = lambda words: (_options_last(parser, words), ())
    parser.epilog = (
        "A key is shown once, when it is made; what is kept of it is its hash, in DATA_DIR/keys.json.\n"
        "A running pygent up takes a change over within a second. Callers send: Authorization: Bearer KEY\n"
    )


def run(chosen: Namespace) -> int:
    from pygent_registry.cli.session import quiet_settings
    from pygent_shared.http.keys import KeyFile

    if chosen.what == "list" and chosen.name:
        raise UsageInvalid("pygent keys", f'"{chosen.name}" is one word too many')
    if chosen.what != "list" and not chosen.name:
        raise UsageInvalid("pygent keys", f"{chosen.what} needs the NAME of a key")
    if chosen.what != "add" and (chosen.role or chosen.expires):
        raise UsageInvalid("pygent keys", "--role and --expires belong to add")
    settings = quiet_settings(chosen)
    file = KeyFile(settings)
    match chosen.what:
        case "add":
            _add(file, chosen, settings)
        case "list":
            _list(file, chosen)
        case "revoke":
            _changed(file, chosen, file.revoke(chosen.name))
        case "restore":
            _changed(file, chosen, file.restore(chosen.name))
    return 0


def lifetime(word: str) -> timedelta:
    """For `type=`: a number and its unit."""
    if not (found := re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", word)):
        raise ArgumentTypeError(f'"{word}" is no time; write 90m, 12h, 30d or 8w')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _add(file: KeyFile, chosen: Namespace, settings: Settings) -> None:
    roles = chosen.role or []
    _refuse_unknown(roles, settings)
    key, whole = file.add(chosen.name, roles, chosen.expires)
    if chosen.json:
        print_json({**_facts(file, key), "key": whole})
        return
    print(whole, flush=True)
    bound = f"bound to {', '.join(key.roles)}" if key.roles else "which may do everything"
    until = f" It ends on {key.expires}." if key.expires else ""
    note(f'This is the key "{key.name}", {bound}.{until} It is shown this once: keep it now.')


def _refuse_unknown(roles: Sequence[str], settings: Settings) -> None:
    """
    Raises:
        UnknownName: the config has no such role.
    """
    if not roles:
        return
    from pygent_registry.cli.session import config_in_force

    known = config_in_force(settings).roles
    for role in roles:
        if role not in known:
            cure = 'Write it into the config first: "roles": {"reader": {"memory": ["memory_search"]}}'
            raise UnknownName("role", role, known, cure)


def _list(file: KeyFile, chosen: Namespace) -> None:
    now = datetime.now(UTC)
    keys = [key for key in file.read() if chosen.all or key.state(now) == "active"]
    if chosen.json:
        print_json([_facts(file, key) for key in keys])
        return
    if not keys:
        note("There is no key yet. Make one: pygent keys add NAME")
        return
    heads = ("NAME", "ID", "STATE", "ROLES", "CREATED", "EXPIRES", "LAST USED")
    table = [tuple(_shown(value) for value in _facts(file, key).values()) for key in keys]
    print("\n".join(columns([heads, *table])))


def _changed(file: KeyFile, chosen: Namespace, key: Key) -> None:
    if chosen.json:
        print_json(_facts(file, key))
    elif key.revoked:
        print(f'The key "{key.name}" is revoked. Give it back its access: pygent keys restore {key.id}')
    else:
        print(f'The key "{key.name}" has its access again. Take it: pygent keys revoke {key.id}')


def _facts(file: KeyFile, key: Key) -> dict[str, Any]:
    used = file.last_used(key)
    return {
        "name": key.name,
        "id": key.id,
        "state": key.state(datetime.now(UTC)),
        "roles": list(key.roles),
        "created": key.created,
        "expires": key.expires,
        "last_used": used.isoformat(timespec="minutes") if used else None,
    }


def _shown(value: object) -> str:
    """A fact for a person: times to the minute."""
    if isinstance(value, list):
        return ",".join(value) or "all"
    return re.sub(r"(T\d\d:\d\d)[:+].*", r"\1Z", str(value)).replace("T", " ") if value else "never"


def _options_last(parser: Parser, words: Sequence[str]) -> list[str]:
    """The words with the options behind: argparse takes an optional word only where it stands by others."""
    plain: list[str] = []
    options: list[str] = []
    at = 0
    while at < len(words):
        taken = 2 if parser.takes_value(words[at]) else 1
        (options if words[at].startswith("-") else plain).extend(words[at : at + taken])
        at += taken
    return [*plain, *options]
