"""`pygent install`: one entry in a host's config file, proven by starting it as the host will."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import add_json, one_of
from pygent_registry.cli.terminal import counted, note, print_json
from pygent_registry.hosts import HOSTS, apply, find_host, this_program
from pygent_shared.serve import settings_from
from pygent_shared.settings import as_text, find_config, load_settings, rows

if TYPE_CHECKING:
    from pygent_registry.hosts import Entry, Plan
    from pygent_registry.hosts.proof import Proof

EXAMPLE = "pygent install claude --print"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "host", metavar="HOST", type=one_of("host", HOSTS), help=f"One of: {', '.join(HOSTS)}."
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--print", action="store_true", help="Show the entry and the change, and write nothing."
    )
    action.add_argument("--remove", action="store_true", help="Take the entry out again.")
    parser.add_argument("--config", metavar="FILE", help="The config file pygent is to use in that host.")
    add_json(parser)


def run(chosen: Namespace) -> int:
    host, entry = find_host(chosen.host), _entry(chosen.config)
    # A config file that cannot be read is refused before anything is written, but does not keep an entry in.
    settings = load_settings() if chosen.remove else settings_from({"config": chosen.config})
    report: dict[str, Any] = {"host": host.name}
    if chosen.print:
        report["entry"] = host.as_json(entry)
        _say(chosen, host.snippet(entry))
    plan = host.plan(entry, remove=chosen.remove)
    report |= {"path": str(plan.path), "changed": plan.changed, "diff": plan.diff, "notes": list(plan.notes)}
    if plan.diff:
        _say(chosen, plan.diff)
    for line in plan.notes:
        note(line)
    if not chosen.print:
        report |= _carried_out(chosen, plan, settings.start_timeout)
    if chosen.json:
        print_json(report)
    return 0


def _carried_out(chosen: Namespace, plan: Plan, timeout: float) -> dict[str, Any]:
    """Write, say where, and prove; what was done, for `--json`."""
    backup = apply(plan)
    if plan.changed:
        kept = f'; as it was: "{backup}"' if backup else ""
        _say(chosen, f'Written: "{plan.path}"{kept}')
    done: dict[str, Any] = {"backup": str(backup) if backup else None}
    if plan.entry is not None:
        proofs = _proven(plan.entry, timeout)
        done["proof"] = [vars(proof) for proof in proofs]
        for proof in proofs:
            _say(chosen, _sentence(plan.host, proof))
    if plan.changed:
        _say(chosen, plan.reload)
        done["reload"] = plan.reload
    return done


def _proven(entry: Entry, timeout: float) -> tuple[Proof, ...]:
    """The entry, started in each era as the host will.

    Raises:
        ServerUnavailable: it does not work.
    """
    import anyio

    from pygent_registry.hosts.proof import prove

    return anyio.run(prove, entry, timeout)


def _sentence(host: str, proof: Proof) -> str:
    era = "2025" if proof.mode == "legacy" else "2026"
    tools = counted(proof.tools, "tool")
    return f"Started as {host} will ({era} era): {tools} listed after {proof.seconds:.1f} s."


def _entry(config: str | None) -> Entry:
    """How the host starts this program: with the settings of this environment, which hosts do not pass on.

    Secrets stay out of the file; they concern HTTP alone.
    """
    settings = load_settings()
    named = find_config(config) if config or settings.config else None
    env = {
        row.variable: as_text(value)
        for row in rows()
        if (value := getattr(settings, row.name)) != row.default and not row.secret and row.name != "config"
    }
    return this_program(named, env)


def _say(chosen: Namespace, text: str) -> None:
    if not chosen.json:
        print(text)
