"""`pygent doctor`: is everything well, and what to type where it is not."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import add_json, add_settings, seconds
from pygent_registry.cli.terminal import counted, print_json
from pygent_shared.errors import PygentError
from pygent_shared.settings import Row, as_text, find_config, load_settings, read_config, rows

if TYPE_CHECKING:
    from pygent_registry.cli.check import Check
    from pygent_registry.config import Config
    from pygent_shared.settings import Settings

EXAMPLE = "pygent doctor --timeout 30"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=10.0,
        help="Seconds a server may take to start; less where its own limit is lower. [10]",
    )
    parser.add_argument("--settings", action="store_true", help="Show every setting instead.")
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    if chosen.settings:
        return _show_settings(chosen)
    checks = []
    for check in _checks(chosen):
        checks.append(check)
        if not chosen.json:
            print(_line(check), flush=True)
    failed = [check for check in checks if check.level == "fail"]
    if chosen.json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        warned = sum(check.level == "warn" for check in checks)
        print(f"\n{counted(len(checks), 'check')}: {len(failed)} failed, {warned} to know about.")
    return 1 if failed else 0


def _checks(chosen: Namespace) -> Iterator[Check]:
    """All checks, each as soon as it is made. What is wrong with the config stops only what needs it."""
    from pygent_registry.cli import checks
    from pygent_registry.cli.check import fail

    yield checks.python()
    yield from checks.variables(os.environ)
    try:
        config, own = _config(chosen)
        yield from checks.config(config, own=own)
    except PygentError as error:
        config = None
        yield fail("config", "cannot be used", str(error))
    try:
        settings = _settings(chosen, readable=config is not None)
    except PygentError as error:
        yield fail("settings", "cannot be used", str(error))
        return
    yield checks.data_folder(settings)
    yield from checks.databases(settings)
    yield checks.embedder(settings)
    yield checks.token(settings)
    yield from checks.fronts(settings)
    yield from checks.keys(settings)
    yield from checks.issuer(settings)
    yield checks.port(settings)
    if config is not None:
        yield from _servers(config, settings, chosen.timeout)


def _config(chosen: Namespace) -> tuple[Config, bool]:
    """The config in force, and whether it is the user's own."""
    from pygent_registry.config import load
    from pygent_registry.server import config_path

    return load(config_path(chosen.config)), find_config(chosen.config) is not None


def _settings(chosen: Namespace, *, readable: bool) -> Settings:
    from pygent_registry.cli.session import quiet_settings

    return quiet_settings(chosen) if readable else load_settings(None, vars(chosen))


def _servers(config: Config, settings: Settings, timeout: float) -> Iterable[Check]:
    from pygent_registry.cli import session, trial

    return session.run(trial.servers, *trial.hurried(config, settings, timeout))


def _line(check: Check) -> str:
    cure = f"\n      {check.cure}" if check.cure else ""
    return f"{check.level:<4}  {check.subject}: {check.finding}{cure}"


def _show_settings(chosen: Namespace) -> int:
    path = find_config(chosen.config)
    in_file = (read_config(path) if path else {}).get("settings") or {}
    settings = load_settings({"settings": in_file}, vars(chosen) | {"config": path and str(path)})
    table = [_setting(row, settings, vars(chosen), in_file) for row in rows()]
    if chosen.json:
        print_json({"config": str(path) if path else None, "settings": table})
    else:
        for row in table:
            print(f"{row['name']} = {row['value']}  ({row['from']})")
            print(f"    {row['variable']}, default {row['default'] or 'empty'}. {row['help']}")
    return 0


def _setting(
    row: Row, settings: Settings, flags: Mapping[str, Any], in_file: Mapping[str, Any]
) -> dict[str, str]:
    """One setting: its value, and where that comes from."""
    value = as_text(getattr(settings, row.name))
    if flags.get(row.name) is not None:
        source = "--" + row.name.replace("_", "-")
    elif variable := row.variable_in(os.environ):  # only which; the value is load_settings' business
        source = variable
    else:
        source = "config file" if row.name in in_file else "default"
    return {
        "name": row.name,
        "value": "••••" if row.secret and value else value,
        "from": source,
        "variable": row.variable,
        "default": as_text(row.default),
        "help": row.help,
    }
