"""What is done to a host's request on its way to a server: wrappers around one small interface.

A policy takes the handler that comes after it and gives one that does something before, after, or instead.
The first of a list is the outermost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcp.server.context import ServerRequestContext

from pygent_registry.entry import Entry
from pygent_shared.http.identity import Principal, principal_of


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that has an owner: `tools/call`, `prompts/get`, `resources/read` and the like."""

    server: str
    """Whose it is: the name of an entry of the config."""
    name: str
    """The tool, prompt or URI as the host knows it."""
    params: dict[str, Any]
    """As on the wire, under the owner's own names."""
    context: ServerRequestContext[Any, Any]
    """The host, its era and capabilities, and the way back to it."""
    definition: Mapping[str, Any]
    """A tool's definition as the host was shown it; empty for the rest."""
    by: str = ""
    """Who calls, where that is no host (`peer_calls.py`)."""

    @property
    def method(self) -> str:
        return self.context.method

    @property
    def tool(self) -> str | None:
        """The tool that it calls, as its owner names it; None for a request of another kind."""
        return str(self.params["name"]) if self.method == "tools/call" else None

    @property
    def caller(self) -> str:
        """Who sent it, for limits and for the audit: see `caller_of`."""
        return self.by or caller_of(self.context)

    def with_params(self, params: dict[str, Any]) -> Request:
        """The same request with other params."""
        return replace(self, params=params)


def principal_in(context: ServerRequestContext[Any, Any]) -> Principal | None:
    """Whom the guard let in with this request; None over stdio and in memory."""
    return None if context.request is None else principal_of(context.request.scope)


def caller_of(context: ServerRequestContext[Any, Any]) -> str:
    """Whoever is at the other end: `stdio` is the one host that started us; over HTTP it is the principal's
    name.
    """
    principal = principal_in(context)
    return "stdio" if principal is None else principal.name


Handler = Callable[[Request], Awaitable[dict[str, Any]]]
"""Gives the raw result, or raises `MCPError` (the server's own error) or `PygentError` (ours)."""

Policy = Callable[[Handler], Handler]


EntryOf = Callable[[str], Entry]
"""A server's entry of the config, as it is now: policies look it up for every request."""


def outcome_of(result: Mapping[str, Any]) -> str:
    """What a raw result says of the call: `ok`, `tool_error`, or a `question` back to the host."""
    if result.get("isError"):
        return "tool_error"
    return "question" if result.get("resultType") == "input_required" else "ok"


def wrapped(handler: Handler, policies: Iterable[Policy]) -> Handler:
    """The handler inside all of these."""
    for policy in reversed(list(policies)):
        handler = policy(handler)
    return handler
