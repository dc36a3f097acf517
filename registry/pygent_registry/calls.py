"""Hosts' requests on their way to servers, and which of them a server means when it says something.

In the 2025 era a server's own request or log message names no call. Over HTTP it comes on the stream of the
request that it belongs to; over a pipe it can be told only while all requests there are one host's.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server.context import ServerRequestContext

from pygent_registry.clock import Clock
from pygent_registry.era import is_modern
from pygent_registry.link import Link
from pygent_registry.policies import caller_of
from pygent_registry.telling import Telling

Context = ServerRequestContext[Any, Any]


@dataclass(kw_only=True)
class Question:
    """Something a legacy server asked in the middle of a parked call, as on the wire."""

    request: dict[str, Any]
    answer: Any = None
    answered: anyio.Event = field(default_factory=anyio.Event)


@dataclass(kw_only=True, eq=False)
class Call:
    """A host's request on its way to a server."""

    context: Context
    front: object
    """Where it came in: log messages go back by the same way."""
    questions: MemoryObjectSendStream[Any] | None = None
    """Where questions go when the host cannot be asked directly (front 2026)."""
    clock: Clock = field(init=False)
    """Of the request that is at the server, or last was."""
    telling: Telling = field(default_factory=Telling)
    asking: set[anyio.CancelScope] = field(default_factory=set)
    """Questions to the host that are open: they end with the call."""
    host: object = None

    def __post_init__(self) -> None:
        self.host = host_of(self.context)

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Pass the server's progress on."""
        await self.telling.tell(self.context.session.report_progress, done, total, message)


ON_BEHALF_OF: ContextVar[Call | None] = ContextVar("ON_BEHALF_OF", default=None)
"""The call that is being sent. The SDK's HTTP client hands it on to what comes back on the same stream."""


def host_of(context: Context) -> object:
    """Which host a request came from: its connection, or who it says it is where there is none."""
    if is_modern(context.protocol_version):
        client = context.session.client_params
        return caller_of(context), client.client_info.name if client else ""
    return id(context.session._connection)


def said_on_stream(link: Link) -> Call | None:
    """The call on whose own stream something was said; None where it came by another way."""
    call = ON_BEHALF_OF.get()
    return call if call in link.calls else None


def meant(link: Link) -> Call | None:
    """The call that a server means; None where there is none, or nobody can tell."""
    if call := said_on_stream(link):
        return call
    return link.calls[-1] if len({call.host for call in link.calls}) == 1 else None
