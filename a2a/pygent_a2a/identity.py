"""Who calls, as the SDK passes it along."""

from __future__ import annotations

from collections.abc import Mapping

from a2a.auth.user import User
from a2a.server.context import ServerCallContext
from a2a.server.routes.common import DefaultServerCallContextBuilder
from starlette.requests import Request

from pygent_shared import traces
from pygent_shared.caller import named
from pygent_shared.http.identity import Principal, principal_of

VERSION = "a2a-version"
"""The header that names the protocol's version."""

_PRINCIPAL = "pygent.principal"
_BASE = "pygent.base"


class Caller(User):
    """A principal as the SDK knows users."""

    def __init__(self, principal: Principal | None) -> None:
        self._principal = principal

    @property
    def is_authenticated(self) -> bool:
        return self._principal is not None

    @property
    def user_name(self) -> str:
        return named(self._principal)


class CallContexts(DefaultServerCallContextBuilder):
    """Gives the SDK the caller that the guard let in, and the address it called."""

    def build(self, request: Request) -> ServerCallContext:
        return called_by(super().build(request), principal_of(request.scope), base_of(request))

    def build_user(self, request: Request) -> User:
        return Caller(principal_of(request.scope))


def called_by(context: ServerCallContext, principal: Principal | None, base: str) -> ServerCallContext:
    """A context of a call, with whoever made it, and the address they called."""
    context.user = Caller(principal)
    context.state[_PRINCIPAL] = principal
    context.state[_BASE] = base
    return context


def principal_in(context: ServerCallContext) -> Principal | None:
    """Whom the guard let in with the request."""
    found: Principal | None = context.state.get(_PRINCIPAL)
    return found


def acting_for(name: str) -> ServerCallContext:
    """A call that nobody makes right now: work for a caller of that name goes on. What that caller may do was
    looked at when it began, so nothing new is begun with this."""
    principal = Principal(name=name, kind="key", credential="") if name else None
    return ServerCallContext(user=Caller(principal), state={_PRINCIPAL: principal})


def trace_in(context: ServerCallContext) -> Mapping[str, str]:
    """The keys of `_meta` that carry on the request's trace."""
    return traces.carried(context.state.get("headers", {}))


def base_of(request: Request) -> str:
    """The address that a request was sent to, without a path."""
    return f"{request.url.scheme}://{request.url.netloc}"


def base_in(context: ServerCallContext) -> str:
    """The same, of the request that a context is of."""
    return str(context.state.get(_BASE, ""))
