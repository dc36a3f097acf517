"""`pygent audit`: what was called through pygent, and whether the record of it is whole."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pygent_registry.cli.parser import add_json, add_settings, one_of
from pygent_registry.cli.terminal import counted, fitting, print_json
from pygent_shared.errors import FileRefused

EXAMPLE = "pygent audit show --last 50"
WHAT = ("verify", "show")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        type=one_of("part of pygent audit", WHAT),
        metavar="verify|show",
        help="verify the chain of records, or show the latest of them",
    )
    parser.add_argument("--last", type=int, default=20, metavar="N", help="How many to show. [20]")
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.cli.session import quiet_settings
    from pygent_registry.journal import NAME

    path = quiet_settings(chosen).data_dir / NAME
    return _verify(path, chosen) if chosen.what == "verify" else _show(path, chosen)


def _verify(path: Path, chosen: Namespace) -> int:
    from dataclasses import asdict

    from pygent_registry.chain import verify

    found = verify(_lines(path))
    if chosen.json:
        print_json({"path": str(path), "whole": not found.broken, **asdict(found)})
    elif found.broken:
        before = counted(found.records, "record")
        print(f'The chain of "{path}" is broken at {found.broken}. Before it: {before}.')
    else:
        torn = f" A crash left {counted(found.torn, 'unfinished line')}." if found.torn else ""
        print(f"{counted(found.records, 'record')}, and the chain is whole.{torn}")
        print(f"The last hash is {found.last}: keep it elsewhere, and a later cut shows.")
    return 1 if found.broken else 0


def _show(path: Path, chosen: Namespace) -> int:
    from pygent_registry.chain import parsed

    latest = deque((record for line in _lines(path) if (record := parsed(line))), maxlen=max(chosen.last, 0))
    if chosen.json:
        print_json(list(latest))
        return 0
    for record in latest:
        print(fitting(_shown(record)))
    return 0


def _shown(record: Mapping[str, Any]) -> str:
    """One record for a person."""
    known = {key: record.get(key, "?") for key in ("time", "who", "client", "name", "outcome", "bytes", "ms")}
    return "{time}  {who}  {name}  {outcome}  {bytes} bytes  {ms} ms  {client}".format(**known).rstrip()


def _lines(path: Path) -> Iterator[str]:
    """
    Raises:
        FileRefused: there is no such file, or it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except FileNotFoundError as error:
        cure = "Call something first, or name the right folder: --data-dir DIR"
        raise FileRefused(path, "does not exist: nothing was recorded yet", cure) from error
    except OSError as error:
        raise FileRefused(path, f"cannot be read: {error.strerror}", "Ask its owner.") from error
