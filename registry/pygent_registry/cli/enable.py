"""`pygent enable`: a server that was left out is used again, and one that was given up is tried again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pygent_registry.cli import changing

EXAMPLE = "pygent enable filesystem"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="The server's name in the config file.")
    changing.configure(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.draft import open_draft

    draft = open_draft(chosen.config)
    draft.enable(chosen.name)
    report = changing.carry_out(chosen, draft, f'The server "{chosen.name}" is enabled already.')
    if not draft.changed and not chosen.print:
        draft.save_again()
        changing.say(chosen, "Where a registry runs, it tries at once what has failed there.")
    return changing.finish(chosen, report)
