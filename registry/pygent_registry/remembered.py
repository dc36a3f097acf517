"""What every server listed when it was last up, kept in a file: lists are answered from it at once.

The one rule: it is a memory, not a truth. Whatever is wrong with the file costs nothing but the time that it
would have saved, and a server that is up is believed instead.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pygent_registry.catalogue import Listing
from pygent_registry.entry import Entry
from pygent_registry.files import write_whole
from pygent_shared.locks import locked

log = logging.getLogger(__name__)

FILE = "catalogue.json"
FORMAT = 1
MOST_SERVERS = 200

# The lists of a server -> the key that every definition in it must have.
_LISTS = {"tools": "name", "prompts": "name", "resources": "uri", "templates": "uriTemplate"}

Lists = dict[str, Any]
"""The lists of definitions by name, and what the server says of itself under `instructions`."""


class Remembered:
    """The lists in `path`, by what an entry starts and by era."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._servers: dict[str, dict[str, Lists]] | None = None
        self._unsaved: set[str] = set()

    def listings(self, entry: Entry) -> dict[bool, Listing]:
        """What the entry's server listed, by whether it was in the 2026 era."""
        found = self._known().get(key(entry), {})
        return {
            modern: Listing(
                server=entry.name,
                prefix=entry.shown_prefix,
                tools=tuple(found[era]["tools"]),
                prompts=tuple(found[era]["prompts"]),
                resources=tuple(found[era]["resources"]),
                templates=tuple(found[era]["templates"]),
                instructions=found[era].get("instructions", ""),
            )
            for era, modern in (("2025", False), ("2026", True))
            if era in found
        }

    def keep(self, entry: Entry, listing: Listing, *, modern: bool) -> None:
        """Remember what the entry's server lists now; `save` writes it."""
        lists: Lists = {name: list(getattr(listing, name)) for name in _LISTS}
        lists["instructions"] = listing.instructions
        eras = self._known().setdefault(key(entry), {})
        if eras.get(era := "2026" if modern else "2025") != lists:
            eras[era] = lists
            self._unsaved.add(key(entry))

    def save(self) -> None:
        """Write what is new, over what other processes have written meanwhile."""
        if not self._unsaved:
            return
        ours, self._unsaved = self._unsaved, set()
        try:
            with locked(self._path.with_name(f".{self._path.name}.lock")):
                servers = _read(self._path) or {}
                for name in ours:
                    servers.pop(name, None)  # what changed last stands last, and is forgotten last
                    servers[name] = self._known()[name]
                kept = dict(list(servers.items())[-MOST_SERVERS:])
                write_whole(self._path, json.dumps({"format": FORMAT, "servers": kept}).encode("utf-8"))
        except OSError as error:
            log.warning(
                'What the servers list cannot be kept in "%s": %s.', self._path, error.strerror or error
            )

    def _known(self) -> dict[str, dict[str, Lists]]:
        if self._servers is None:
            self._servers = _read(self._path)
            if self._servers is None:
                log.warning('"%s" cannot be understood; it is written anew.', self._path)
                self._servers = {}
        return self._servers


def key(entry: Entry) -> str:
    """What decides which server an entry starts, as a hash: its arguments may hold secrets. The values of its
    variables are not part of it, nor is its name.
    """
    identity = [entry.kind, entry.command, entry.args, sorted(entry.env), entry.cwd, entry.url, entry.server]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _read(path: Path) -> dict[str, dict[str, Lists]] | None:
    """What the file holds: nothing where there is none, and None where it cannot be understood."""
    try:
        loaded = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    return loaded["servers"] if _is_ours(loaded) else None


def _is_ours(loaded: Any) -> bool:
    if not isinstance(loaded, Mapping) or loaded.get("format") != FORMAT:
        return False
    servers = loaded.get("servers")
    return isinstance(servers, dict) and all(
        isinstance(eras, dict) and all(_are_lists(lists) for lists in eras.values())
        for eras in servers.values()
    )


def _are_lists(lists: Any) -> bool:
    if not isinstance(lists, dict) or not isinstance(lists.get("instructions", ""), str):
        return False
    return all(
        isinstance(lists.get(name), list)
        and all(isinstance(item, dict) and isinstance(item.get(wanted), str) for item in lists[name])
        for name, wanted in _LISTS.items()
    )
