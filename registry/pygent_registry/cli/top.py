"""`pygent top`: the servers of the running `pygent up`, their calls and what they use, once a second."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from pygent_registry.cli.parser import add_json, add_settings, one_of
from pygent_registry.cli.terminal import print_json

if TYPE_CHECKING:
    from pygent_registry.cli.running import Running
    from pygent_registry.cli.table import Frame

EXAMPLE = "pygent top --sort cpu"
SORTS = ("name", "state", "calls", "p95", "errors", "cpu", "rss")
KEYS = dict(zip("nscpeum", SORTS, strict=True))
INTERVAL_SECONDS = 1.0


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--sort",
        metavar="COLUMN",
        type=one_of("column", SORTS),
        default="name",
        help=f"What comes first: {', '.join(SORTS)}. [name]",
    )
    parser.add_argument("--once", action="store_true", help="Measure for one second, print, and end.")
    add_json(parser)
    parser.epilog = "keys: q quits; n s c p e u m sort by name, state, calls, p95, errors, cpu, memory"
    add_settings(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.cli.running import Running
    from pygent_registry.cli.session import quiet_settings

    with Running(quiet_settings(chosen), "knows its servers' calls") as running:
        if chosen.json or chosen.once or not (sys.stdout.isatty() and sys.stdin.isatty()):
            return _once(running, chosen)
        return _watch(running, chosen.sort)


def _once(running: Running, chosen: Namespace) -> int:
    from dataclasses import asdict

    from pygent_registry.cli.table import coloured, lines

    before = _sample(running)
    time.sleep(INTERVAL_SECONDS)  # rates are measured, not remembered
    rows = _sample(running).since(before, chosen.sort)
    if chosen.json:
        print_json({"address": running.address, "servers": [asdict(row) for row in rows]})
    else:
        print("\n".join(lines(rows, running.address, colours=coloured())))
    return 0


def _watch(running: Running, sort: str) -> int:
    """A new picture each second, until q or Ctrl-C."""
    from pygent_registry.cli.screen import Screen
    from pygent_registry.cli.table import coloured, lines

    before = now = _sample(running)
    with Screen() as screen:
        while True:
            screen.show(lines(now.since(before, sort), running.address, colours=coloured()))
            key = screen.key(INTERVAL_SECONDS)
            if key == "q":
                return 0
            sort = KEYS.get(key, sort)
            if not key:  # a key sorts what is shown; only time brings other numbers
                before, now = now, _sample(running)


def _sample(running: Running) -> Frame:
    from pygent_registry.cli.table import Frame

    _, found = running.ask("/servers")
    return Frame(at=time.monotonic(), servers=found.get("servers", {}))
