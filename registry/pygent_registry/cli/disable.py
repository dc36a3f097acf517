"""`pygent disable`: a server is left out, and its entry kept."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pygent_registry.cli import changing

EXAMPLE = "pygent disable filesystem"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="The server's name in the config file.")
    changing.configure(parser)


def run(chosen: Namespace) -> int:
    return changing.changed_one(chosen, "disable", "disabled")
