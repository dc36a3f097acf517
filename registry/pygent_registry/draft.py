"""The config file in force, as it is to be written: entries added, removed, enabled and disabled in its text.

The one rule: what is not asked for stays byte by byte, comments and foreign keys included, and nothing is
written before `Draft.write`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pygent_registry.config import AGENTS, BadEntry, parse
from pygent_registry.files import diff, read_text, replace_text
from pygent_registry.hosts import edit
from pygent_registry.references import Sources
from pygent_shared.errors import ConfigInvalid, FileRefused, InvalidArgument, UnknownName
from pygent_shared.settings import find_config, own_config
from pygent_shared.shipped import shipped

SECTIONS = ("mcpServers", "servers", AGENTS)
_MARK = "\ufeff"


class AlreadyThere(InvalidArgument):
    """Another server of that name stands in the config."""

    def __init__(self, name: str, path: Path) -> None:
        self.cure = "Replace it: --replace"
        super().__init__(name, f'another server of this name is in "{path}"', self.cure)


@dataclass(kw_only=True)
class Draft:
    """A config file's text and what is to become of it.

    Args:
        path: where it is written.
        before: what is there; None when there is no file.
        text: what it is to say.
    """

    path: Path
    before: str | None
    text: str

    @property
    def changed(self) -> bool:
        return self.text != self.before

    @property
    def diff(self) -> str:
        """The change as a unified diff; empty when there is none."""
        return diff(self.path, self.before, self.text) if self.changed else ""

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = edit.read(self._body, comments=True).document
        return document

    def names(self) -> dict[str, str]:
        """Every server by its name in the file, and the section it stands in."""
        found = self.document
        return {
            name: section
            for section in reversed(SECTIONS)
            for name in (found.get(section) if isinstance(found.get(section), Mapping) else None) or ()
        }

    def add(self, name: str, entry: Mapping[str, Any], *, replace: bool = False) -> bool:
        """Add a server; whether that changed anything.

        Raises:
            AlreadyThere: another server has this name, and is not to be replaced.
            ConfigInvalid: a comment would be lost.
        """
        there = self.names()
        if name in there:
            if self.document[there[name]][name] == entry:
                return False
            if not replace:
                raise AlreadyThere(name, self.path)
        section = there.get(name) or (AGENTS if "card" in entry else self._section())
        return self._put((section, name), dict(entry))

    def remove(self, name: str) -> bool:
        """Take a server out; whether it was there to be taken.

        Raises:
            UnknownName: there is no such server.
            ConfigInvalid: a comment would be lost.
        """
        return self._drop((self._where(name), name))

    def enable(self, name: str) -> bool:
        """Use a server again; whether it was left out.

        Raises:
            UnknownName: there is no such server.
        """
        section = self._where(name)
        if not self._is_disabled(section, name):
            return False
        return self._drop((section, name, "disabled"))

    def disable(self, name: str) -> bool:
        """Leave a server out; whether it was in use.

        Raises:
            UnknownName: there is no such server.
        """
        section = self._where(name)
        if self._is_disabled(section, name):
            return False
        return self._put((section, name, "disabled"), True)

    def write(self) -> Path | None:
        """Write the file, if that changes it; the path of the copy of the old one, if there was one.

        Raises:
            FileRefused: it changed meanwhile, or cannot be written; it is as it was.
        """
        return replace_text(self.path, self.before, self.text) if self.changed else None

    def save_again(self) -> None:
        """Date the file as saved now, as it is: whoever follows it tries again what has failed.

        Raises:
            FileRefused: it cannot be written.
        """
        try:
            os.utime(self.path)
        except OSError as error:
            cure = "Check its permissions; it is as it was."
            raise FileRefused(self.path, f"cannot be written: {error.strerror}", cure) from error

    @property
    def _body(self) -> str:
        return self.text.removeprefix(_MARK)

    def _section(self) -> str:
        """Where a new server goes: `mcpServers`, unless the file has only the other."""
        there = (name for name in SECTIONS if name != AGENTS and isinstance(self.document.get(name), dict))
        return next(there, SECTIONS[0])

    def _where(self, name: str) -> str:
        there = self.names()
        if name not in there:
            raise UnknownName("server", name, there, "See what there is: pygent list")
        return there[name]

    def _is_disabled(self, section: str, name: str) -> bool:
        entry = self.document[section][name]
        return isinstance(entry, Mapping) and entry.get("disabled") is True

    def _put(self, path: tuple[str, ...], value: Any) -> bool:
        return self._edited(path, lambda: edit.put(self._body, path, value, comments=True))

    def _drop(self, path: tuple[str, ...]) -> bool:
        return self._edited(path, lambda: edit.drop(self._body, path, comments=True))

    def _edited(self, path: tuple[str, ...], change: Callable[[], str]) -> bool:
        mark = _MARK if self.text.startswith(_MARK) else ""
        try:
            edited = mark + change()
        except edit.CommentInTheWay as error:
            why = f'has comments within "{path[1]}", which this change would lose'
            raise ConfigInvalid(self.path, why, "Make the change by hand.") from error
        changed, self.text = edited != self.text, edited
        return changed


def open_draft(explicit: str | Path | None = None) -> Draft:
    """The config file in force; where the user has none, their own, beginning as the shipped one.

    Raises:
        FileRefused: it cannot be read.
        ConfigInvalid: it is no JSON object, or its servers are none.
    """
    path = find_config(explicit) or own_config()
    before = read_text(path)
    if before is None:
        return Draft(path=path, before=None, text=shipped("pygent.json").read_text(encoding="utf-8"))
    draft = Draft(path=path, before=before, text=before if before.strip() else "{}\n")
    _check(draft)
    return draft


def _check(draft: Draft) -> None:
    try:
        document: Any = draft.document
    except json.JSONDecodeError as error:
        why = f"is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise ConfigInvalid(draft.path, why, "Mend that line, then run this again.") from error
    if not isinstance(document, dict):
        raise ConfigInvalid(draft.path, "holds no JSON object", 'Begin it with {"mcpServers": {}}.')
    for section in SECTIONS:
        if not isinstance(document.get(section, {}), dict):
            cure = f'Make it {{}} in the file: "{section}": {{}}'
            raise ConfigInvalid(draft.path, f'holds a "{section}" that is not an object', cure)


_SOMETHING = "http://x"  # a value of any key, a URL too


class _AnyVariable(dict[str, str]):
    """An environment in which every variable is set."""

    def get(self, key: str, default: Any = None) -> Any:
        return _SOMETHING


# An entry's shape is looked at, not this machine.
_ANYWHERE = Sources(
    environ=_AnyVariable(), read=lambda path: _SOMETHING, ask=lambda service, name: _SOMETHING
)


def faults(servers: Mapping[str, Any]) -> Iterator[BadEntry]:
    """The entries that could not be used on any machine."""
    agents = {name: entry for name, entry in servers.items() if "card" in entry}
    others = {name: entry for name, entry in servers.items() if name not in agents}
    yield from parse({"mcpServers": others, AGENTS: agents}, sources=_ANYWHERE).bad
