"""The file of pins: DATA_DIR/pins.json, readable by its owner alone, replaced as a whole under a lock."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pygent_registry.trust import pins
from pygent_registry.trust.pins import Pin
from pygent_shared.errors import FileRefused
from pygent_shared.locks import locked

Pins = dict[str, Pin]
VERSION = 1


class PinFile:
    """The pins of every server by name, read again when another process has written them. Those of servers
    that were removed stay in the file, and not in memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._servers: frozenset[str] | None = None
        self._pins: dict[str, Pin | None] = {}
        self._stamp: tuple[int, int] | None = None
        self._looked: tuple[int, int] | None = None

    def has_news(self) -> bool:
        """Whether the file is another than the one last looked at, readable or not: true once."""
        before, self._looked = self._looked, self._stamp_now()
        return self._looked != before

    def get(self, server: str) -> Pin | None:
        """What is pinned of a server.

        Raises:
            FileRefused: see `read`.
        """
        stamp = self._looked = self._stamp_now()
        if stamp != self._stamp or server not in self._pins:
            self._remember(self._read() if stamp else {}, server)
            self._stamp = stamp
        return self._pins[server]

    def read(self) -> Mapping[str, Pin]:
        """What is pinned of all servers that ever were.

        Raises:
            FileRefused: the file is damaged or cannot be read. It is never taken for empty: then everything
                would be trusted again.
        """
        self._looked = self._stamp_now()
        return self._read() if self._looked else {}

    def forget_all_but(self, servers: Collection[str]) -> None:
        """Keep in memory what is pinned of these only."""
        self._servers = frozenset(servers)
        self._pins = {name: pin for name, pin in self._pins.items() if name in self._servers}

    def change(self, by: Callable[[Pins], None]) -> None:
        """Change the pins as they are in the file now, in one replacement under a lock.

        Raises:
            FileRefused: the file is damaged, or cannot be written.
        """
        try:
            with locked(self.path.with_name(f".{self.path.name}.lock")):
                whole = dict(self.read())
                by(whole)
                servers = {name: pins.to_json(pin) for name, pin in whole.items()}
                self._write(json.dumps({"version": VERSION, "servers": servers}, indent=1))
        except OSError as error:
            cure = "Choose another folder: export PYGENT_DATA_DIR=~/pygent-data"
            raise FileRefused(self.path, f"cannot hold the pins: {error.strerror or error}", cure) from error
        self._remember(whole)
        self._looked = self._stamp = self._stamp_now()

    def _remember(self, whole: Mapping[str, Pin], *asked_for: str) -> None:
        names = {*(whole if self._servers is None else self._servers), *asked_for}
        self._pins = {name: whole.get(name) for name in names}

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror}") from error
        return found.st_mtime_ns, found.st_ino

    def _read(self) -> Pins:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: pins.from_json(pin) for name, pin in kept["servers"].items()}
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._refused("is damaged, so nobody knows what was approved") from error

    def _refused(self, why: str) -> FileRefused:
        cure = f'Set it aside, and every server is trusted anew: mv "{self.path}" "{self.path}.damaged"'
        return FileRefused(self.path, why, cure)

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".pins-{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)
