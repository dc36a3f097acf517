"""The entry that makes a host start pygent: a command, its arguments, and no more environment than needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "pygent"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A program that speaks MCP over stdio, as a host starts it."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The entry as the hosts spell it; `env` is left out when there is none."""
        found: dict[str, Any] = {"command": self.command, "args": list(self.args)}
        return {**found, "env": dict(self.env)} if self.env else found


def this_program(
    config: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    *,
    python: Path | str = sys.executable,
    platform: str = sys.platform,
) -> Entry:
    """The entry that starts the pygent now running, from anywhere and with no PATH.

    Args:
        config: the config file that `pygent serve` is to use.
        env: the variables the host must give it, such as PYGENT_DATA_DIR.
        python: the interpreter; the `pygent` script is looked for beside it.
        platform: as `sys.platform` spells it.
    """
    command, *args = _command(Path(os.path.abspath(python)), platform)
    args += ["serve"] if config is None else ["serve", "--config", os.path.abspath(Path(config).expanduser())]
    return Entry(command=command, args=tuple(args), env=dict(env or {}))


def _command(python: Path, platform: str) -> list[str]:
    """The `pygent` script beside the interpreter, else the interpreter with our module.

    A virtual environment's interpreter is a symlink, and following it would leave the environment.
    """
    script = python.with_name("pygent.exe" if platform == "win32" else "pygent")
    if script.is_file() and os.access(script, os.X_OK):
        return [str(script)]
    return [str(python), "-m", "pygent_registry.cli"]
