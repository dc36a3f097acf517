"""`pygent remove`: a server's entry is taken out of the config file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pygent_registry.cli import changing

EXAMPLE = "pygent remove filesystem"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="The server's name in the config file.")
    changing.configure(parser)


def run(chosen: Namespace) -> int:
    return changing.changed_one(chosen, "remove", "gone")
