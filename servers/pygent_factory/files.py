"""Agents in files, TOML or YAML: the kinds that ship, and those of a user's own folders.

A file holds the fields of a spec. Beside them it may have a `name`, else the file's own is taken, and
`extends`: the kind or file whose fields it begins with, else its `type`. The one rule: a file whose `type`
is its own name is a kind of agent; every other one is an agent.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pygent_factory.spec import Spec, agent_name, checked, draft
from pygent_shared.errors import CallerError, FileRefused, InvalidArgument, MissingExtra, UnknownName

SUFFIXES = (".toml", ".yaml", ".yml")
_BESIDES = ("name", "extends")


@dataclass(frozen=True, kw_only=True)
class AgentFile:
    """What a file says."""

    name: str
    path: Path
    spec: Spec

    @property
    def is_kind(self) -> bool:
        """Whether it is a kind of agent."""
        return self.spec.type == self.name


@dataclass(frozen=True, kw_only=True)
class Found:
    """What stands in folders, by name, and a sentence for each file that cannot be used."""

    kinds: Mapping[str, AgentFile] = field(default_factory=dict)
    agents: Mapping[str, AgentFile] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """A file that was read."""

    path: Path
    text: str
    data: dict[str, Any]
    name: str

    def refused(self, key: str, why: str, cure: str) -> FileRefused:
        """The error about one of its fields, with the line where that stands."""
        return FileRefused(f"{self.path}:{_line(self.text, key)}", f"has {key}, which {why}", cure)


class Folders:
    """Folders of agent files, read again when something in them changed.

    Args:
        folders: need not be there.
        kinds: those that ship.
    """

    def __init__(self, folders: Sequence[Path], kinds: Mapping[str, Spec]) -> None:
        self._folders = folders
        self._kinds = kinds
        self._seen: list[tuple[Path, int, int]] | None = None
        self._found = Found()

    def look(self) -> Found:
        """What stands in them; the same object as before while nothing changed."""
        try:
            now = [(path, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in _paths(self._folders)]
        except OSError as error:  # a folder that may not be looked into, or a file that goes meanwhile
            self._seen, self._found = None, replace(self._found, problems=(f"{error}. Look into it.",))
            return self._found
        if now != self._seen:
            self._seen, self._found = now, found([path for path, _, _ in now], self._kinds)
        return self._found


def found(paths: Iterable[Path], kinds: Mapping[str, Spec]) -> Found:
    """What stands in these files.

    Args:
        kinds: what they may begin with, beside each other.
    """
    raws: dict[str, _Raw] = {}
    files: dict[str, AgentFile] = {}
    problems = []
    for path in paths:
        try:
            raw = _read(path)
            if other := raws.get(raw.name):
                why = f'has the name "{raw.name}", which {other.path} has too'
                raise FileRefused(path, why, "Take another name in one of them.")
            raws[raw.name] = raw
        except CallerError as error:
            problems.append(str(error))
    for name, raw in raws.items():
        try:
            files[name] = AgentFile(name=name, path=raw.path, spec=_spec(raw, raws, kinds, ()))
        except CallerError as error:
            problems.append(str(error))
    return Found(
        kinds={name: file for name, file in files.items() if file.is_kind},
        agents={name: file for name, file in files.items() if not file.is_kind},
        problems=tuple(problems),
    )


def read(path: Path) -> Spec:
    """The spec in one file that begins with no other.

    Raises:
        FileRefused: it cannot be read, or is no spec.
        MissingExtra: it is YAML, which is not installed.
    """
    raw = _read(path)
    return _spec(raw, {raw.name: raw}, {}, ())


def written(name: str, spec: Spec, format: str, base: Spec | None) -> str:
    """An agent as a file that reads as the same.

    Args:
        format: toml or yaml.
        base: what a file of its type begins with.

    Raises:
        UnknownName: there is no such format.
        InvalidArgument: TOML cannot hold it.
        MissingExtra: what writes it is not installed.
    """
    data = spec.model_dump(mode="json", exclude_unset=True)
    for field_ in base.model_fields_set - spec.model_fields_set if base else ():
        data[field_] = spec.model_dump(mode="json")[field_]
    data = {"name": name, **data}
    try:
        if format == "toml":
            import tomli_w

            return tomli_w.dumps(data, multiline_strings=True)
        if format == "yaml":
            import yaml

            return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    except ImportError as error:
        raise MissingExtra("writing agents as files", "agents") from error
    except TypeError as error:
        cure = f"Read it as YAML: agent://{name}/yaml"
        raise InvalidArgument("format", "is toml, which has no null, and this agent has one", cure) from error
    raise UnknownName("format", format, ("toml", "yaml"))


def _paths(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith("."):
                    yield path


def _read(path: Path) -> _Raw:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileRefused(path, f"cannot be read: {error.strerror}", "Check its permissions.") from error
    except UnicodeDecodeError as error:
        raise FileRefused(path, "is not UTF-8 text", "Save it as UTF-8.") from error
    data = _toml(path, text) if path.suffix == ".toml" else _yaml(path, text)
    if not isinstance(data, dict):
        raise FileRefused(path, "holds no fields", 'Begin it with a field, such as type: "research".')
    raw = _Raw(path=path, text=text, data=data, name=str(data.get("name", path.stem)))
    try:
        agent_name(raw.name)
    except InvalidArgument as error:
        raise raw.refused("name", error.why, error.cure) from error
    return raw


def _toml(path: Path, text: str) -> Any:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise FileRefused(path, f"is no TOML: {error}", "Mend that line.") from error


def _yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("agents in YAML files", "agents") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        why = f"is no YAML: {getattr(error, 'problem', None) or error}"
        raise FileRefused(place, why, "Mend that line.") from error


def _spec(raw: _Raw, raws: Mapping[str, _Raw], kinds: Mapping[str, Spec], way: tuple[str, ...]) -> Spec:
    """What a file says, with what it begins with; `way` are the names that led to it."""
    type = raw.data.get("type", "general" if "extends" not in raw.data else None)
    key = "extends" if "extends" in raw.data else "type"
    begins = str(raw.data.get("extends", "" if type == raw.name else type))
    own = {key: value for key, value in raw.data.items() if key not in _BESIDES}
    if begins:
        circle = (*way, raw.name, begins)
        if begins in circle[:-1]:
            why = f"goes round in a circle: {' > '.join(circle[circle.index(begins) :])}"
            raise raw.refused(key, why, "Begin one of them with a kind that ships: agent_types()")
        if begins in raws:
            base = _spec(raws[begins], raws, kinds, (*way, raw.name))
        elif begins in kinds:
            base = kinds[begins]
        else:
            told = UnknownName("agent type or file", begins, {*kinds, *raws})
            raise FileRefused(
                f"{raw.path}:{_line(raw.text, key)}", "begins with what is not there", str(told)
            )
        own = {**base.model_dump(exclude_unset=True), **own}
    try:
        return (checked if own.get("instructions") else draft)(own)
    except InvalidArgument as error:
        raise raw.refused(error.name, error.why, error.cure) from error


def _line(text: str, key: str) -> int:
    """The line where a field stands, such as `budget.tokens`; where its parent does if it has none."""
    line, rows = 1, text.splitlines()
    for part in key.split("."):
        begins = re.compile(rf"""\s*\[?["']?(?:[\w-]+\.)*{re.escape(part)}["']?\s*[=:\].]""")
        line = next((n for n, row in enumerate(rows, 1) if n >= line and begins.match(row)), line)
    return line
