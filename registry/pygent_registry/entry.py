"""One server of the config file, ready to start. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from pygent_registry.catalogue import shown_name
from pygent_registry.references import Reference
from pygent_shared.http.credentials import ClientCredentials
from pygent_shared.sandbox import Sandbox

Kind = Literal["in-process", "agent", "stdio", "http", "sse"]

QUESTIONS = frozenset(("elicitation", "roots", "sampling"))
"""What a server may ask a host for."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One server of the config file, ready to start: every reference is followed."""

    name: str
    kind: Kind
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: ClientCredentials | None = None
    """How access tokens for its `url` are got."""
    pin: str = ""
    """Of an A2A agent, whose card is at `url`: the sha-256 that the card must have; "" is any."""
    keys: str = ""
    """Of an A2A agent: URL or file of the keys that its card must be signed with; "" asks for none."""
    server: str = ""
    """A server of the suite, by its name in the entry-point group `pygent.servers`."""
    prefix: str | None = None
    """What stands before its tools' names; None means the entry's name, "" means nothing."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """What a tool, by the server's own name, is shown as instead: the whole name, without the prefix."""
    timeout: float | None = None
    """Seconds a call may go without an answer or progress; None means the setting's."""
    start_timeout: float | None = None
    """Seconds it may take to start; None means the setting's."""
    allow: tuple[str, ...] = ("*",)
    """Patterns of the tools, by the server's own names, that hosts may see and call."""
    deny: tuple[str, ...] = ()
    """Patterns of those that they may not, whatever is allowed."""
    approve: tuple[str, ...] = ()
    """Patterns of the tools that the user is asked about before each call."""
    trusted: bool = False
    """Whether its word on what its tools do (`readOnlyHint`) is taken, as that of our own servers is."""
    concurrency: int | None = None
    """Most requests it is given at once; None means no limit."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """Pattern of tools -> `timeout` of these; the first that fits counts."""
    max_result_bytes: int | None = None
    """Largest result of a tool that is passed on whole; None means the setting's."""
    cache: float | None = None
    """Seconds for which what its reading tools answered is answered again."""

    allow_private: bool = False
    """Whether its `url` may lead to link-local addresses, where clouds keep a machine's credentials."""
    sandbox: Sandbox | None = None
    """What its program may do; None means all that its user may."""

    ask: tuple[str, ...] | None = None
    """What it may ask hosts for; None means all, but sampling only where it is believed."""

    @property
    def may_ask(self) -> frozenset[str]:
        """Of "elicitation", "roots" and "sampling", what it may ask hosts for."""
        if self.ask is not None:
            return frozenset(self.ask)
        return QUESTIONS if self.is_believed else QUESTIONS - {"sampling"}

    @property
    def is_inside(self) -> bool:
        """Whether its server runs in this process: our own, or the one that speaks to an A2A agent."""
        return self.kind in ("in-process", "agent")

    @property
    def is_ours(self) -> bool:
        """Whether the program that answers is of the suite, though an agent's words be a stranger's."""
        return bool(self.server) or self.kind == "agent"

    @property
    def is_believed(self) -> bool:
        """Whether its tools' annotations may be relied on."""
        return self.trusted or bool(self.server)

    def shown_as(self, tool: str, *, prefix: str) -> str:
        """What a tool of the server is called in a catalogue where no other has that name."""
        return self.aliases.get(tool) or shown_name(prefix, tool)

    def may_own(self, shown: str) -> bool:
        """Whether a tool of this name may be the server's, by the name alone."""
        prefix = self.shown_prefix
        return not prefix or shown.startswith(shown_name(prefix, "")) or shown in self.aliases.values()

    def permits(self, tool: str) -> bool:
        """Whether hosts may see and call the tool, by the server's own name."""
        return fits(tool, self.allow) and not fits(tool, self.deny)

    def patience(self, tool: str | None) -> float | None:
        """Seconds a call of the tool may go without an answer or progress; None means the setting's."""
        if tool is not None and self.timeouts:
            for pattern, seconds in self.timeouts.items():
                if fnmatchcase(tool, pattern):
                    return seconds
        return self.timeout

    written: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """As it stands in the file, no reference followed: what is pinned of how it starts (`trust/`)."""
    references: tuple[Reference, ...] = field(default=(), repr=False)
    """What was filled in, and where it came from."""

    @property
    def shown_prefix(self) -> str:
        return self.name if self.prefix is None else self.prefix


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of the patterns, in which `*` stands for anything."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
