"""The registry as a server like any other: `build_server(settings, peers)`."""

from __future__ import annotations

from pathlib import Path

from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.remembered import FILE, Remembered
from pygent_registry.watch import ConfigFile
from pygent_shared.peers import Peers
from pygent_shared.settings import Settings, find_config
from pygent_shared.shipped import shipped


def config_path(explicit: str | Path | None = None) -> Path:
    """The config file in force; the suite's own, as shipped, when the user has none."""
    return find_config(explicit) or shipped("pygent.json")


def following(settings: Settings) -> Registry:
    """A registry over the config file in force, which it follows while it runs.

    Raises:
        FileRefused, ConfigInvalid: the config file cannot be read.
    """
    file = ConfigFile(locate=lambda: config_path(settings.config or None))
    return Registry(file.load(), settings, file=file, remembered=memory_of(settings))


def memory_of(settings: Settings) -> Remembered:
    """What the servers listed when they were last up, in the data folder."""
    return Remembered(settings.data_dir / FILE)


def build_server(settings: Settings, peers: Peers | None) -> Gateway:
    """One endpoint over every server of the config file in force."""
    return Gateway(following(settings))
