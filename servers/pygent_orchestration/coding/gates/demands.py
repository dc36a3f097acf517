"""What is demanded of a commit: by the policy of the task, and for what that leaves open by the repository.

The one rule: a config is read as it was at the commit that the work began with. What the work makes of it
counts for the next task.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pygent_orchestration.coding.gates.policy import Policy
from pygent_shared.errors import ConfigInvalid

PYPROJECT = "pyproject.toml"
RUFF = ("ruff.toml", ".ruff.toml")
MYPY = ("mypy.ini", ".mypy.ini")
FILES = (PYPROJECT, *RUFF, *MYPY, ".coveragerc")
"""What is read of the repository."""


class Table(BaseModel):
    """`tool.pygent.gates` of pyproject.toml: what is not there is found out from the tools' own tables."""

    model_config = ConfigDict(extra="forbid")

    lint: bool | None = None
    types: bool | None = None
    coverage: bool | None = None
    deployment: bool | None = None
    integration: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Demands:
    """Nothing is open any more. `ruff`, `mypy` and `cover` name the file with that tool's rules, if any."""

    policy: Policy
    lint: bool
    types: bool
    coverage: bool
    deployment: bool
    integration: list[str] = field(default_factory=list)
    ruff: str = ""
    mypy: str = ""
    mypy_names: bool = False
    """Whether mypy's config says what it is to look at."""
    cover: str = ""
    least_cover: float = 0.0
    """Percent of the lines."""


def demanded(policy: Policy, configs: Mapping[str, str]) -> Demands:
    """What there is to demand.

    Args:
        configs: the texts of those of FILES that the repository has.

    Raises:
        ConfigInvalid: pyproject.toml is no TOML, or its table of gates says something there is not.
    """
    tools, mypy = _tools(configs), _mypy(configs)
    asked = _table(tools)
    cover = tools.get("coverage", {})
    covered = ".coveragerc" in configs or bool(cover)
    return Demands(
        policy=policy,
        lint=_first(policy.lint, asked.lint, True),
        types=_first(policy.types, asked.types, mypy is not None),
        coverage=_first(policy.coverage, asked.coverage, covered),
        deployment=_first(policy.deployment, asked.deployment, False),
        integration=policy.integration or asked.integration or [],
        ruff=next((name for name in RUFF if name in configs), PYPROJECT if "ruff" in tools else ""),
        mypy=next((name for name in MYPY if name in configs), PYPROJECT if "mypy" in tools else ""),
        mypy_names=bool({"files", "packages", "modules"} & (mypy or {}).keys()),
        cover=".coveragerc" if ".coveragerc" in configs else PYPROJECT if cover else "",
        least_cover=_number(cover.get("report", {}).get("fail_under")) if isinstance(cover, dict) else 0.0,
    )


def _first(*said: bool | None) -> bool:
    return next(one for one in said if one is not None)


def _number(said: Any) -> float:
    return float(said) if isinstance(said, int | float) else 0.0


def _tools(configs: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        tools = tomllib.loads(configs.get(PYPROJECT, "")).get("tool", {})
    except ValueError as error:
        raise ConfigInvalid(PYPROJECT, f"is no TOML: {error}", "Mend it where the task begins.") from error
    return tools if isinstance(tools, dict) else {}


def _table(tools: Mapping[str, Any]) -> Table:
    ours = tools.get("pygent", {})
    try:
        return Table.model_validate(ours.get("gates", {}) if isinstance(ours, dict) else {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("tool.pygent.gates", *map(str, first["loc"])))
        known = ", ".join(Table.model_fields)
        why = f"has a wrong {where}: {first['msg'].lower()}"
        raise ConfigInvalid(PYPROJECT, why, f"It takes: {known}.") from error


def _mypy(configs: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Its table, wherever it is; None where there is none."""
    for name in MYPY:
        if name in configs:
            parser = ConfigParser(interpolation=None)
            with suppress(ConfigError):
                parser.read_string(configs[name])
            return dict(parser["mypy"]) if parser.has_section("mypy") else {}
    found = _tools(configs).get("mypy")
    return found if isinstance(found, dict) else None
