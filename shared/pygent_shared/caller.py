"""Whom a server of the suite serves right now, for whatever belongs to one caller and not to another.

Over HTTP it is whom the guard let in. Over a pipe or in memory it is whom the registry in front names in
`_meta`; without one it is the machine's own user, who started the process and may do everything.

What outlasts the request that began it keeps that caller's `rights`, and has them again with `acting_for`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from pygent_shared.http.identity import Principal, principal_of

META = "pygent/caller"
"""The `_meta` key of a request in which the registry names the caller to servers of the suite."""

RIGHTS = "pygent/rights"
"""Beside it: what that caller is, as `kept` has it. A caller that is named without it may do nothing of
peers' tools.
"""

OWNER = ""
"""The machine's own user: over stdio, with the endpoint's own token, or where nobody is asked who it is."""

_CALLER: ContextVar[Principal | None] = ContextVar("caller", default=None)


@dataclass(frozen=True)
class Acting:
    """For whom the work in hand is done, whatever request it began in; None: for the machine's own user."""

    principal: Principal | None


_ACTING: ContextVar[Acting | None] = ContextVar("acting", default=None)


def caller() -> str:
    """The name of whoever the request in hand is from; `OWNER` outside of one."""
    return named(_CALLER.get())


def rights() -> dict[str, Any] | None:
    """What `acting_for` takes, of whoever the request in hand is from; fit for JSON, and for keeping."""
    principal = _CALLER.get()
    return None if named(principal) == OWNER else kept(principal)


@contextmanager
def acting_for(rights: Mapping[str, Any] | None) -> Iterator[None]:
    """Have what is called of peers inside be called with these rights, and with no others."""
    token = _ACTING.set(Acting(None if rights is None else _principal(rights)))
    try:
        yield
    finally:
        _ACTING.reset(token)


def acting() -> Acting | None:
    """For whom the work in hand is done; None where nobody said."""
    return _ACTING.get()


def named(principal: Principal | None) -> str:
    """The name of a principal; `OWNER` for those that stand for the machine's own user."""
    return OWNER if principal is None or principal.kind in ("token", "anyone") else principal.name


def told(principal: Principal | None) -> dict[str, Any]:
    """What tells a server of the suite in `_meta` who calls; nothing for the machine's own user."""
    name = named(principal)
    return {META: name, RIGHTS: kept(principal)} if name else {}


def kept(principal: Principal | None) -> dict[str, Any] | None:
    """What is kept of a principal: what it may do follows from it."""
    if principal is None:
        return None
    return {
        "name": principal.name,
        "kind": principal.kind,
        "credential": principal.credential,
        "roles": list(principal.roles),
        "limited": principal.limited,
    }


async def tell_caller(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """The SDK's middleware under which `caller` knows."""
    before = _CALLER.set(_caller_in(ctx))
    try:
        return await call_next(ctx)
    finally:
        _CALLER.reset(before)


def _caller_in(context: ServerRequestContext[Any, Any]) -> Principal | None:
    if context.request is not None:
        return principal_of(context.request.scope)
    meta = (context.params or {}).get("_meta")
    if not isinstance(meta, Mapping) or not meta.get(META):
        return None
    beside = meta.get(RIGHTS)
    return _principal({**(beside if isinstance(beside, Mapping) else {}), "name": str(meta[META])})


def _principal(rights: Mapping[str, Any]) -> Principal:
    return Principal(
        name=rights["name"],
        kind=rights.get("kind", "key"),
        credential=rights.get("credential", ""),
        roles=tuple(rights.get("roles", ())),
        limited=rights.get("limited", True),
    )
