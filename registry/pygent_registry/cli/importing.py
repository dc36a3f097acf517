"""`pygent import`: the servers of a host, of a config file, or of the official registry's server.json."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent_registry.cli import changing
from pygent_registry.cli.terminal import counted, note
from pygent_shared.errors import ConfigInvalid, FileRefused

if TYPE_CHECKING:
    from pygent_registry.imported import Imported

EXAMPLE = "pygent import claude"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="claude, claude-code, cursor or vscode; else a file, or a server.json.",
    )
    parser.add_argument(
        "--with-values", action="store_true", help="Copy secrets too, instead of naming a variable for each."
    )
    parser.add_argument("--replace", action="store_true", help="Replace other servers of the same name.")
    changing.configure(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.draft import AlreadyThere, open_draft
    from pygent_registry.imported import Refused, servers

    path = _path(chosen.source)
    draft = open_draft(chosen.config)
    added: list[str] = []
    bad: dict[str, str] = {}
    for found in servers(_document(path), values=chosen.with_values):
        if isinstance(found, Refused):
            bad[found.name] = found.why
            continue
        try:
            if (why := _fault(found)) is not None:
                bad[found.name] = why
            elif draft.add(found.name, found.entry, replace=chosen.replace):
                added.append(found.name)
                _name_variables(found)
        except AlreadyThere as error:
            bad[found.name] = f"another server of this name is in the config. {error.cure}"
    for name, why in bad.items():
        note(f'"{name}" in "{path}" is left out: {why}.'.replace("..", "."))
    report = changing.carry_out(chosen, draft, f'There is nothing new in "{path}".')
    if added and not chosen.print:
        changing.say(chosen, f"{counted(len(added), 'server')} imported: {', '.join(added)}")
    return changing.finish(chosen, report | {"source": str(path), "imported": added, "left_out": bad})


def _path(source: str) -> Path:
    """The host's config file, or the file that is named."""
    from pygent_registry.hosts import HOSTS, Machine, find_host

    if source in HOSTS:
        return find_host(source).locate(Machine.here())
    path = Path(source).expanduser()
    if not path.exists() and path.suffix == "":
        find_host(source)  # raises: it was meant as one
    return path


def _document(path: Path) -> dict[str, Any]:
    """The file's JSON object.

    Raises:
        FileRefused, ConfigInvalid: it cannot be read.
    """
    from pygent_registry.files import read_text
    from pygent_shared.jsonc import plain

    text = read_text(path)
    if text is None:
        raise FileRefused(path, "does not exist", "Is the program installed, and has it an MCP server?")
    try:
        document = json.loads(plain(text.removeprefix("\ufeff")))
    except json.JSONDecodeError as error:
        why = f"is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise ConfigInvalid(path, why, "Mend that line, then run this again.") from error
    if not isinstance(document, dict):
        raise ConfigInvalid(path, "holds no JSON object", "Name a host's config file, or a server.json.")
    return document


def _fault(found: Imported) -> str | None:
    """Why the entry could not be used; our own in another program is one."""
    from pygent_registry.draft import faults

    return next((bad.why for bad in faults({found.name: found.entry})), None)


def _name_variables(found: Imported) -> None:
    for variable in found.variables:
        note(f'"{found.name}" needs the environment variable {variable}: export {variable}=…')
