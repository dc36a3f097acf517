"""What the commands that talk to servers share: the settings, and a registry that runs while they work."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import anyio

from pygent_registry.config import Config, load
from pygent_registry.registry import Registry
from pygent_registry.server import config_path
from pygent_shared import logs
from pygent_shared.errors import ServerUnavailable
from pygent_shared.serve import settings_from
from pygent_shared.settings import Settings

T = TypeVar("T")


def quiet_settings(chosen: Namespace) -> Settings:
    """The settings in force. Warnings are not logged unless a lower level is asked for: what a server does
    wrong is in the command's own answer.
    """
    settings = settings_from(vars(chosen))
    return replace(settings, log_level="error") if settings.log_level == "warning" else settings


def config_in_force(settings: Settings) -> Config:
    """The servers of the config file in force."""
    return load(config_path(settings.config or None))


def run(work: Callable[[Registry], Awaitable[T]], config: Config, settings: Settings) -> T:
    """What `work` returns, given a registry that runs as long. Nothing is started before `work` asks for it.

    What `work` raises comes in an exception group, as from any task group.
    """
    logs.configure(settings)

    async def working() -> T:
        async with Registry(config, settings).running() as registry:
            return await work(registry)
        raise AssertionError("unreachable")  # mypy takes `running` for a scope that swallows

    return anyio.run(working)


def refuse_unusable(config: Config, name: str) -> None:
    """Say why an entry of the config cannot be used.

    Raises:
        ServerUnavailable: it is disabled, or in error.
    """
    if name in config.disabled:
        cure = f"Use it again: pygent enable {name}"
        raise ServerUnavailable(name, "is disabled in the config file", cure)
    for bad in config.bad:
        if bad.name == name:
            raise ServerUnavailable(name, f"cannot be used: {bad.why}", f'Its entry is in "{config.path}".')
