"""`pygent add`: a server of one's own, one at a URL, one of the presets, or an A2A agent, entered into the
config file.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pygent_registry.cli import changing
from pygent_registry.cli.parser import Parser
from pygent_registry.cli.terminal import columns, note
from pygent_registry.presets import PRESETS, entry
from pygent_shared.errors import InvalidArgument, did_you_mean

EXAMPLE = "pygent add filesystem ~/notes"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        help="A preset, or a name of your own with --url, --card or a COMMAND [ARG…] after it.",
    )
    parser.add_argument("--url", metavar="URL", help="Where the server is reached over HTTP.")
    parser.add_argument("--card", metavar="URL", help="The card of an A2A agent, or where the agent is.")
    parser.add_argument(
        "--header", metavar="K=V", action="append", help="A header for it; ${VARIABLE} is filled in later."
    )
    parser.add_argument("--env", metavar="K=V", action="append", help="A variable for the server.")
    parser.add_argument("--as", metavar="OTHER", dest="other", help="The name of a preset's entry.")
    parser.add_argument("--replace", action="store_true", help="Replace another server of this name.")
    parser.add_argument("--no-check", action="store_true", help="Do not start it to prove it.")
    changing.configure(parser)
    assert isinstance(parser, Parser)
    parser.split = partial(_split, parser)
    table = columns(((name, preset.takes, preset.line) for name, preset in PRESETS.items()), "  ")
    parser.epilog = "\n".join(
        ["Options come before COMMAND; what follows it is its own.", "", "presets:", *table, ""]
    )


def run(chosen: Namespace) -> int:
    from pygent_registry.draft import faults, open_draft

    name, added = _name(chosen), _entry(chosen)
    for bad in faults({name: added}):
        raise InvalidArgument(name, f"cannot be added: {bad.why}", "See: pygent add --help")
    draft = open_draft(chosen.config)
    draft.add(name, added, replace=chosen.replace)
    report = changing.carry_out(chosen, draft, f'The server "{name}" is in the config already, just so.')
    report |= {"name": name, "entry": added}
    changing.trust_anew(chosen, name, report)
    missing = list(unset(added))
    for variable in missing:
        note(f"It needs the environment variable {variable}, which is not set: export {variable}=…")
    if not (chosen.no_check or chosen.print or missing):
        changing.prove(chosen, name, report)
    return changing.finish(chosen, report)


def unset(added: Any) -> Iterator[str]:
    """The variables an entry needs that are neither set here nor have a default."""
    import json
    import os

    from pygent_registry.references import variables

    for name in variables(json.dumps(added)):
        if not os.environ.get(name):
            yield name


def _split(parser: Parser, words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Our words, and the server's own: a preset's anywhere, a command's from the command on."""
    ours: list[str] = []
    rest: list[str] = []
    name, at = "", 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return ours, [*rest, *words[at + 1 :]]
        if word.startswith("-"):
            taken = 2 if parser.takes_value(word) else 1
            ours += words[at : at + taken]
            at += taken
            continue
        if not name:
            name = word
            ours.append(word)
        elif name in PRESETS:
            rest.append(word)
        else:
            return ours, [*rest, *words[at:]]
        at += 1
    return ours, rest


def _name(chosen: Namespace) -> str:
    from pygent_registry.config import fit_name

    name: str = chosen.other or chosen.name
    if fit_name(name) != name:
        why = 'may hold letters, digits, "-" and "_" only'
        raise InvalidArgument(name, why, f"Such as: {fit_name(name)}")
    return name


def _entry(chosen: Namespace) -> dict[str, Any]:
    """What is to be entered.

    Raises:
        InvalidArgument: the words do not say what.
    """
    env, headers = _pairs("--env", chosen.env), _pairs("--header", chosen.header)
    if chosen.url or chosen.card:
        option = "--url" if chosen.url else "--card"
        if chosen.rest or (chosen.url and chosen.card):
            other = f'a command ("{chosen.rest[0]}")' if chosen.rest else "--card"
            raise InvalidArgument(option, f"and {other} exclude each other", "Give one")
        added: dict[str, Any] = {"url": chosen.url} if chosen.url else {"card": chosen.card}
    elif chosen.name in PRESETS:
        added = entry(chosen.name, chosen.rest)
    elif chosen.rest:
        added = {"command": chosen.rest[0], "args": chosen.rest[1:]}
    else:
        why = f"is no preset.{did_you_mean(chosen.name, PRESETS)}"
        cure = f"For one of your own: pygent add {chosen.name} COMMAND [ARG…], or --url URL, or --card URL"
        raise InvalidArgument(chosen.name, why.rstrip("."), cure)
    for key, given in (("env", env), ("headers", headers)):
        if given:
            added[key] = {**added.get(key, {}), **given}
    return added


def _pairs(option: str, words: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidArgument(option, f'"{word}" is no KEY=VALUE', f"Such as: {option} KEY=VALUE")
        found[key] = value
    return found
