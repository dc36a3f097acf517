"""A host: a program with a config file in which one entry makes it start pygent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pygent_registry.files import read_text
from pygent_registry.hosts import edit
from pygent_registry.hosts.entry import NAME, Entry
from pygent_registry.hosts.machine import Machine
from pygent_registry.hosts.plan import Plan
from pygent_shared.errors import ConfigInvalid

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, kw_only=True)
class Host:
    """What we must know of a host.

    Args:
        name: as typed after `pygent install`.
        title: as a person knows it.
        key: the object of the config file that holds the servers.
        locate: where the config file is on a machine.
        reload: how to make the host read its config again, as a sentence.
        typed: whether an entry says `"type": "stdio"`.
        comments: whether the host reads comments and trailing commas in its file.
    """

    name: str
    title: str
    key: str
    locate: Callable[[Machine], Path]
    reload: str
    typed: bool = False
    comments: bool = False

    def plan(self, entry: Entry, *, remove: bool = False, machine: Machine | None = None) -> Plan:
        """What installing (or removing) the entry would do to the host's config file.

        Keys and variables a person added to our entry are kept; `plan.entry` has them.

        Raises:
            FileRefused: the file cannot be read.
            ConfigInvalid: it is not what the host would understand, or a comment would be lost.
        """
        path = self.locate(machine or Machine.here())
        before = read_text(path)
        mark = _BYTE_ORDER_MARK if (before or "").startswith(_BYTE_ORDER_MARK) else ""
        body = (before or "")[len(mark) :]
        written = self._edited(path, body, None if remove else entry)
        return Plan(
            host=self.title,
            path=path,
            before=before,
            after=before if written == body else mark + written,
            entry=None if remove else self._entry(written),
            notes=tuple(self._notes(path, remove=remove, changed=written != body)),
            reload=self.reload,
        )

    def as_json(self, entry: Entry) -> dict[str, Any]:
        """The entry as this host spells it."""
        return {"type": "stdio", **entry.as_json()} if self.typed else entry.as_json()

    def snippet(self, entry: Entry) -> str:
        """A whole config file with the entry alone, for a person to paste from."""
        return json.dumps({self.key: {NAME: self.as_json(entry)}}, ensure_ascii=False, indent=2)

    def _edited(self, path: Path, body: str, entry: Entry | None) -> str:
        """The file's text with the entry, or without it when it is None."""
        if not body.strip():
            return self._put("{}\n", (self.key, NAME), self.as_json(entry)) if entry else body
        self._check(path, body)
        try:
            if entry is None:
                return edit.drop(body, (self.key, NAME), comments=self.comments)
            return self._installed(body, self.as_json(entry))
        except edit.CommentInTheWay as error:
            raise ConfigInvalid(path, self._in_the_way(), self._by_hand(entry)) from error

    def _check(self, path: Path, body: str) -> None:
        """Refuse a file in which there is no place for an entry."""
        try:
            document = edit.read(body, comments=self.comments).document
        except json.JSONDecodeError as error:
            why = f"is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
            raise ConfigInvalid(path, why, "Mend that line, then run this again.") from error
        if not isinstance(document, dict):
            raise ConfigInvalid(path, "holds no JSON object", f'Begin it with {{"{self.key}": {{}}}}.')
        if not isinstance(document.get(self.key, {}), dict):
            cure = f'Make it {{}} in the file: "{self.key}": {{}}'
            raise ConfigInvalid(path, f'holds a "{self.key}" that is not an object', cure)

    def _installed(self, body: str, wanted: dict[str, Any]) -> str:
        """The text with each of our keys set, and with the others of an entry that is there left alone."""
        present = self._present(body)
        if not isinstance(present, dict) or "command" not in present:
            return self._put(body, (self.key, NAME), wanted)
        for path, value in _leaves(wanted, present):
            if edit.lookup(present, path) != value:
                body = self._put(body, (self.key, NAME, *path), value)
        return body

    def _put(self, body: str, path: edit.Keys, value: Any) -> str:
        return edit.put(body, path, value, comments=self.comments)

    def _present(self, body: str) -> Any:
        return edit.lookup(edit.read(body, comments=self.comments).document, (self.key, NAME))

    def _entry(self, body: str) -> Entry:
        """The entry as it stands in the text."""
        present = self._present(body)
        env = present.get("env")
        variables = {name: str(value) for name, value in env.items()} if isinstance(env, dict) else {}
        return Entry(command=present["command"], args=tuple(present["args"]), env=variables)

    def _notes(self, path: Path, *, remove: bool, changed: bool) -> Iterator[str]:
        if remove and not changed:
            yield f'There is no entry "{NAME}" in "{path}": nothing to remove.'
        elif not changed:
            yield f'The entry "{NAME}" is already in "{path}": nothing to change.'
        elif not path.parent.is_dir():
            yield f'The folder "{path.parent}" is missing (is {self.title} installed?): installing makes it.'

    def _in_the_way(self) -> str:
        return f'has comments within its entry "{NAME}", which this change would lose'

    def _by_hand(self, entry: Entry | None) -> str:
        if entry is None:
            return f'Take the entry "{NAME}" out of "{self.key}" by hand.'
        wanted = json.dumps(self.as_json(entry), ensure_ascii=False)
        return f'Put this into "{self.key}" by hand: "{NAME}": {wanted}'


def _leaves(wanted: dict[str, Any], present: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The places to set: each of our keys, and within `env` each variable."""
    for key, value in wanted.items():
        if key == "env" and isinstance(present.get("env"), dict):
            yield from ((("env", name), text) for name, text in value.items())
        else:
            yield (key,), value
