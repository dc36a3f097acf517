"""The config file: the formats people already have, read into entries.

`mcpServers` of Claude Desktop and Cursor, `servers` of VS Code, and `agents`, ours, for agents elsewhere that
are asked over A2A; several may stand in one file. The one rule:
an entry that cannot be used is reported by its name, and costs nobody else anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pygent_registry import roles, values
from pygent_registry.entry import QUESTIONS, Entry, Kind
from pygent_registry.files import refuse_foreign
from pygent_registry.references import Reference, Sources, Unresolved, filled
from pygent_registry.roles import Role
from pygent_registry.values import Unusable
from pygent_shared.errors import ConfigInvalid, did_you_mean
from pygent_shared.http import credentials
from pygent_shared.http.credentials import ClientCredentials
from pygent_shared.sandbox import Sandbox
from pygent_shared.settings import read_config
from pygent_shared.shipped import shipped

KEYS = frozenset(
    "command args env cwd url headers type transport server isolated disabled timeout startTimeout "
    "prefix aliases allow deny approve ask trusted concurrency timeouts maxResultBytes cache "
    "sandbox allow_private auth".split()
)
AGENTS = "agents"
"""The section of agents elsewhere."""
AGENT_KEYS = frozenset(
    "card pin keys headers auth allow_private disabled timeout startTimeout prefix aliases allow deny "
    "approve ask trusted concurrency timeouts maxResultBytes".split()
)
# Keys that hosts use for themselves and that change nothing here.
IGNORED = frozenset("description autoApprove alwaysAllow envFile gallery version note dev $comment".split())

_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PIN = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, kw_only=True)
class BadEntry:
    """An entry that cannot be used, with a sentence that says why and what to type."""

    name: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Config:
    """A config file, understood."""

    entries: tuple[Entry, ...] = ()
    bad: tuple[BadEntry, ...] = ()
    disabled: tuple[str, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    path: Path | None = None


def load(path: Path) -> Config:
    """The config file at `path`.

    Raises:
        FileRefused, ConfigInvalid: the file as a whole cannot be used; a bad entry does not raise.
    """
    return parse(read_own(path), path=path)


def read_own(path: Path) -> dict[str, Any]:
    """A config file's JSON object, as only its owner can have written it: it starts programs.

    Raises:
        FileRefused: others may write it, or it cannot be read.
        ConfigInvalid: it is not a JSON object in UTF-8.
    """
    if path != shipped("pygent.json"):  # a part of this program, whoever installed that
        refuse_foreign(path)
    return read_config(path)


def parse(
    loaded: Mapping[str, Any],
    *,
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    sources: Sources | None = None,
) -> Config:
    """A config file's JSON object, understood.

    Args:
        path: the file; what `${file:…}` names is looked for in its folder.
        environ: where `${VAR}` is looked up.
        sources: where references lead, instead of both.

    Raises:
        ConfigInvalid: its roles are not as they must be; without them, everybody would see everything.
    """
    sources = sources or Sources(environ=environ, folder=path.absolute().parent if path else Path())
    try:
        known_roles = roles.parse(loaded.get("roles"))
    except ValueError as error:
        cure = 'Write them so: "roles": {"reader": {"memory": ["memory_search"], "rag": ["*"]}}'
        raise ConfigInvalid(path or "pygent.json", str(error), cure) from error
    entries: dict[str, Entry] = {}
    bad: list[BadEntry] = []
    disabled: list[str] = []
    for section, name, raw in _named(loaded):
        try:
            if isinstance(raw, Mapping) and raw.get("disabled") is True:
                disabled.append(name)
                continue
            entry = _entry(name, raw, sources, is_agent=section == AGENTS)
            if entry.name in entries:
                raise Unusable(f'another entry is already called "{entry.name}"; rename one of them')
            entries[entry.name] = entry
        except (Unusable, Unresolved) as error:
            bad.append(BadEntry(name=name, why=str(error)))
    return Config(
        entries=tuple(entries.values()),
        bad=tuple(bad),
        disabled=tuple(disabled),
        roles=known_roles,
        path=path,
    )


def fit_name(name: str) -> str:
    """The name with what tools' names cannot hold replaced."""
    return _NOT_IN_NAMES.sub("-", name).strip("-") or "server"


def _named(loaded: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for section in ("mcpServers", "servers", AGENTS):
        listed = loaded.get(section)
        if isinstance(listed, Mapping):
            yield from ((section, name, raw) for name, raw in listed.items())


def _entry(name: str, raw: Any, sources: Sources, *, is_agent: bool = False) -> Entry:
    if not isinstance(raw, Mapping):
        written = '{"card": "…"}' if is_agent else '{"command": "…", "args": […]} or {"url": "…"}'
        raise Unusable(f"it is no object; write {written}")
    known = AGENT_KEYS if is_agent else KEYS
    for key in raw:
        if key not in known and key not in IGNORED:
            raise Unusable(f'it has an unknown key "{key}".{did_you_mean(key, known)}')
    kind = _agent(raw) if is_agent else _kind(raw)
    followed: list[Reference] = []

    def fill(text: str, where: str) -> str:
        return filled(text, where, sources, followed)

    cwd = fill(values.text(raw, "cwd"), "cwd")
    entry = Entry(
        name=fit_name(name),
        kind=kind,
        # Not by way of Path, which makes "./server" a program that is looked for in PATH.
        command=os.path.expanduser(fill(values.text(raw, "command"), "command")),
        args=tuple(fill(item, "args") for item in values.strings(raw, "args")),
        env={key: fill(value, f"env.{key}") for key, value in values.mapping(raw, "env").items()},
        cwd=os.path.expanduser(cwd) or None,
        url=fill(values.text(raw, where := "card" if is_agent else "url"), where),
        pin=values.text(raw, "pin").removeprefix("sha256:"),
        keys=fill(values.text(raw, "keys"), "keys"),
        headers={key: fill(value, f"headers.{key}") for key, value in values.mapping(raw, "headers").items()},
        server=fill(values.text(raw, "server"), "server"),
        prefix=fill(values.text(raw, "prefix"), "prefix") if raw.get("prefix") is not None else None,
        aliases=_shown_as_asked(name, _aliases(raw)) if is_agent else _aliases(raw),
        timeout=values.seconds(raw, "timeout"),
        start_timeout=values.seconds(raw, "startTimeout"),
        allow=values.patterns(raw, "allow", ("*",)),
        deny=values.patterns(raw, "deny"),
        approve=values.patterns(raw, "approve"),
        ask=_questions(raw),
        trusted=values.truth(raw, "trusted"),
        concurrency=values.count(raw, "concurrency"),
        timeouts={
            tool: values.limit(value, f"timeouts.{tool}")
            for tool, value in values.table(raw, "timeouts").items()
        },
        max_result_bytes=values.count(raw, "maxResultBytes"),
        cache=values.limit(raw["cache"], "cache") if raw.get("cache") is not None else None,
        allow_private=values.truth(raw, "allow_private"),
        sandbox=_sandbox(raw, kind),
        auth=_auth(raw, where, fill),
        written=raw,
    )
    entry = replace(entry, references=tuple(followed))
    if entry.url and not entry.url.startswith(_SCHEMES):
        raise Unusable(f"its {where}, filled in, is not one; it must begin with http:// or https://")
    if _is_this_registry(entry):
        raise Unusable("it starts this registry itself, which would start itself without end; remove it here")
    return entry


def _auth(raw: Mapping[str, Any], where: str, fill: Callable[[str, str], str]) -> ClientCredentials | None:
    if raw.get("auth") and any(name.lower() == "authorization" for name in values.mapping(raw, "headers")):
        raise Unusable('it has both "auth" and a header Authorization; give one of them')
    try:
        return credentials.parse(raw.get("auth"), fill(values.text(raw, where), where), fill)
    except (Unusable, Unresolved):
        raise
    except ValueError as error:
        raise Unusable(str(error)) from error


def _agent(raw: Mapping[str, Any]) -> Kind:
    """The kind of an entry of the section of agents, whose card and pin are looked at."""
    card = values.text(raw, "card")
    if not card:
        raise Unusable('it has no "card"; give the URL of the agent\'s card, or of where the agent is')
    if not card.startswith((*_SCHEMES, "$")):
        raise Unusable(f'its card "{card}" is no URL; it must begin with http:// or https://')
    if (pin := values.text(raw, "pin")) and not _PIN.fullmatch(pin):
        raise Unusable('its "pin" must be the sha-256 of its card: 64 hexadecimal digits')
    return "agent"


def _kind(raw: Mapping[str, Any]) -> Kind:
    """How it is reached. `server` is ours: in-process unless the entry says it is isolated."""
    given = [key for key in ("command", "url", "server") if raw.get(key)]
    if len(given) != 1:
        both = " and ".join(given)
        why = f"it has {both} at once" if given else "it has neither command, url nor server"
        raise Unusable(f"{why}; give exactly one of the three")
    if given == ["server"]:
        return "stdio" if raw.get("isolated") else "in-process"
    if given == ["command"]:
        return "stdio"
    if not str(raw["url"]).startswith((*_SCHEMES, "$")):
        raise Unusable(f'its url "{raw["url"]}" is not one; it must begin with http:// or https://')
    return "sse" if "sse" in (raw.get("type"), raw.get("transport")) else "http"


def _aliases(raw: Mapping[str, Any]) -> dict[str, str]:
    aliases = values.mapping(raw, "aliases")
    for tool, alias in aliases.items():
        if not _ALIAS.fullmatch(alias):
            why = "but a tool's name is 1 to 64 of A-Z, a-z, 0-9, _ and -"
            raise Unusable(f'its "aliases" calls "{tool}" "{alias}", {why}')
        if list(aliases.values()).count(alias) > 1:
            raise Unusable(f'its "aliases" calls two tools "{alias}"; name one of them otherwise')
    return aliases


def _shown_as_asked(name: str, aliases: dict[str, str]) -> dict[str, str]:
    """An agent is asked by `ask_<name>`, without a prefix that would say the name twice."""
    ask = f"ask_{fit_name(name)}"
    return {ask: ask, **aliases}


def _sandbox(raw: Mapping[str, Any], kind: Kind) -> Sandbox | None:
    if raw.get("sandbox") is None:
        return None
    if kind != "stdio":
        cure = 'add "isolated": true' if raw.get("server") else "take it out"
        raise Unusable(f'it has a "sandbox" but starts no program of its own; {cure}')
    asked = values.table(raw, "sandbox")
    known = {row.name for row in fields(Sandbox)} - {"read"}  # a server sees everything
    for key in asked:
        if key not in known:
            raise Unusable(f'its "sandbox" has an unknown key "{key}".{did_you_mean(key, known)}')
    limits = {key: values.count(asked, key) for key in known - {"network", "write"}}
    write = tuple(_folder(place) for place in values.strings(asked, "write")) if "write" in asked else None
    return Sandbox(network=values.truth(asked, "network", default=True), write=write, read=None, **limits)


def _folder(place: str) -> Path:
    folder = Path(os.path.expanduser(place))
    if not folder.is_absolute():
        raise Unusable(f'its "sandbox" may write to "{place}"; write the whole path, or begin it with ~/')
    return folder


def _questions(raw: Mapping[str, Any]) -> tuple[str, ...] | None:
    value = raw.get("ask")
    if value is None or (isinstance(value, list) and all(item in QUESTIONS for item in value)):
        return value if value is None else tuple(value)
    raise Unusable(
        f'its "ask" is {value!r}, but it must be a list of some of "elicitation", "roots" and "sampling"'
    )


def _is_this_registry(entry: Entry) -> bool:
    """`pygent serve` or `pygent up` without the name of one server, however it is spelled."""
    program, args = Path(entry.command).name.removesuffix(".exe"), entry.args
    if args[:1] == ("-m",) and len(args) > 1:
        program, args = args[1], args[2:]
    if program in ("pygent-registry", "pygent_registry"):
        return True
    serves = args[:1] in (("serve",), ("up",)) and (len(args) == 1 or args[1].startswith("-"))
    return program in ("pygent", "pygent-factory", "pygent_registry.cli") and serves
