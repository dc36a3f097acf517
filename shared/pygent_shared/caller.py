"""Whom a server of the suite serves right now, for whatever belongs to one caller and not to another.

Over HTTP it is whom the guard let in. Over a pipe or in memory it is whom the registry in front names in
`_meta`; without one it is the machine's own user, who started the process and may do everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from pygent_shared.http.identity import Principal, principal_of

META = "pygent/caller"
"""The `_meta` key of a request in which the registry names the caller to servers of the suite."""

OWNER = ""
"""The machine's own user: over stdio, with the endpoint's own token, or where nobody is asked who it is."""

_CALLER: ContextVar[str] = ContextVar("caller", default=OWNER)


def caller() -> str:
    """The name of whoever the request in hand is from; `OWNER` outside of one."""
    return _CALLER.get()


def named(principal: Principal | None) -> str:
    """The name of a principal; `OWNER` for those that stand for the machine's own user."""
    return OWNER if principal is None or principal.kind in ("token", "anyone") else principal.name


async def tell_caller(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """The SDK's middleware under which `caller` knows."""
    before = _CALLER.set(_caller_in(ctx))
    try:
        return await call_next(ctx)
    finally:
        _CALLER.reset(before)


def _caller_in(context: ServerRequestContext[Any, Any]) -> str:
    if context.request is not None:
        return named(principal_of(context.request.scope))
    meta = (context.params or {}).get("_meta")
    return str(meta.get(META, OWNER)) if isinstance(meta, Mapping) else OWNER
