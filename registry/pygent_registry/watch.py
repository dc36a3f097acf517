"""The config file in force, watched: what a person saves there is taken over without a restart.

The one rule: a file that cannot be understood changes nothing. Its sentence is logged once, and the servers
go on as they were.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from pygent_registry.config import BadEntry, Config, parse, read_own
from pygent_shared.errors import PygentError

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0

Stamp = tuple[Path, int, int, int] | None


@dataclass(kw_only=True)
class ConfigFile:
    """The config file that `locate` finds. Another may come into force: the user's own, once there is one."""

    locate: Callable[[], Path]
    poll: float = POLL_SECONDS
    _stamp: Stamp = None
    _loaded: Mapping[str, Any] = field(default_factory=dict)
    _bad: tuple[BadEntry, ...] = ()
    _complained: str = ""

    def load(self) -> Config:
        """What the file says now, and from here on is compared with.

        Raises:
            FileRefused, ConfigInvalid: it cannot be read.
        """
        path = self.locate()
        self._stamp = _stamp(path)
        self._loaded = read_own(path)
        config = parse(self._loaded, path=path)
        self._bad = config.bad
        return config

    async def follow(self, apply: Callable[[Config], None], saved_again: Callable[[], None]) -> None:
        """Look every second, and hand on each config that says something else. Ends by being cancelled.

        Args:
            apply: gets it.
            saved_again: called when the file was saved as it was, which is how `pygent enable` asks for
                another try of what has failed.
        """
        while True:
            await anyio.sleep(self.poll)
            before = self._stamp
            # In a thread: a reference may lead to a keyring that asks its user first.
            if (config := await anyio.to_thread.run_sync(self.changed)) is not None:
                log.info('The config file "%s" changed: it is in force.', config.path)
                apply(config)
            elif self._stamp != before and not self._complained:
                saved_again()

    def changed(self) -> Config | None:
        """The config, where the file says something else than when it was last loaded."""
        if _stamp(self.locate()) == self._stamp:
            return None
        loaded, bad = self._loaded, self._bad
        try:
            config = self.load()
        except PygentError as error:
            self._complain(str(error))
            return None
        self._complained = ""
        if _written(self._loaded) == _written(loaded):
            return None
        for entry in config.bad:
            if entry not in bad:
                log.warning('The entry "%s" of "%s" is left out: %s.', entry.name, config.path, entry.why)
        if self._loaded.get("settings") != loaded.get("settings"):
            log.warning('"settings" in "%s" changed; they take effect with the next start.', config.path)
        return config

    def _complain(self, why: str) -> None:
        if why != self._complained:
            log.warning("%s Meanwhile the servers go on as they were.", why)
        self._complained = why


def _stamp(path: Path) -> Stamp:
    """What is cheap to look at and differs after nearly every change; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (path, found.st_mtime_ns, found.st_size, found.st_ino)


def _written(loaded: Mapping[str, Any]) -> str:
    """The content apart from its layout; the order of the servers is part of it."""
    return json.dumps(loaded)
