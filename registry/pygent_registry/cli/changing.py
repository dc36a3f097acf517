"""What the commands that change the config file share: showing the change, making it, proving a server."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import add_json, add_settings
from pygent_registry.cli.terminal import note, print_json

if TYPE_CHECKING:
    from pygent_registry.draft import Draft

# A first start may download the server.
FIRST_START_SECONDS = 120.0

Report = dict[str, Any]


def configure(parser: ArgumentParser) -> None:
    """The options of every such command."""
    parser.add_argument("--print", action="store_true", help="Show the change, and write nothing.")
    add_json(parser)
    add_settings(parser)


def carry_out(chosen: Namespace, draft: Draft, unchanged: str) -> Report:
    """Show the change and write it, or say the sentence for when there is none."""
    report: Report = {"path": str(draft.path), "changed": draft.changed, "diff": draft.diff}
    if not draft.changed:
        note(unchanged)
        return report
    say(chosen, draft.diff)
    if not chosen.print:
        backup = draft.write()
        report["backup"] = str(backup) if backup else None
        kept = f'; as it was: "{backup}"' if backup else ""
        say(chosen, f'Written: "{draft.path}"{kept}')
    return report


def trust_anew(chosen: Namespace, name: str, report: Report) -> None:
    """Forget what was approved of a server whose entry a person has just changed: it is met as a new one."""
    if not report["changed"] or chosen.print:
        return
    from pygent_registry.cli import session
    from pygent_registry.trust.trust import Trust

    Trust(session.quiet_settings(chosen)).forget(name)


def changed_one(chosen: Namespace, name: str, done: str) -> int:
    """Run one of a draft's methods on one server."""
    from pygent_registry.draft import open_draft

    draft = open_draft(chosen.config)
    getattr(draft, name)(chosen.name)
    report = carry_out(chosen, draft, f'The server "{chosen.name}" is {done} already: nothing to change.')
    if name == "remove":
        trust_anew(chosen, chosen.name, report)
    return finish(chosen, report)


def prove(chosen: Namespace, name: str, report: Report) -> None:
    """Start the server once, and say how many tools it has and how long that took, or what is wrong."""
    from dataclasses import asdict, replace

    from pygent_registry.cli import session, trial

    settings = session.quiet_settings(chosen)
    config = session.config_in_force(settings)
    session.refuse_unusable(config, name)
    alone = replace(config, entries=tuple(entry for entry in config.entries if entry.name == name))
    settings = replace(settings, start_timeout=max(settings.start_timeout, FIRST_START_SECONDS))
    check, *_ = session.run(trial.servers, *trial.hurried(alone, settings, settings.start_timeout))
    report["check"] = asdict(check)
    if check.level == "fail":
        say(chosen, f"{check.subject}: {check.finding}\n      {check.cure}")
        note(f"It stays in the config. Take it out again: pygent remove {name}")
    else:
        say(chosen, f"{check.subject}: {check.finding}")


def finish(chosen: Namespace, report: Report) -> int:
    """Print the report where it is asked for; the exit code."""
    if chosen.json:
        print_json(report)
    return 1 if report.get("check", {}).get("level") == "fail" else 0


def say(chosen: Namespace, text: str) -> None:
    """For a person: not beside a JSON document."""
    if not chosen.json:
        print(text)
