"""Who calls over HTTP: the principal behind a request, and the ways to tell it by what the request carries.

The guard asks each `Authenticator` in turn and puts the principal into the request's scope, where everything
behind it finds it. What the caller sent (the token itself) goes no further than here.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

IN_SCOPE = "pygent.principal"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A caller that was told by what it sent."""

    name: str
    """For limits, records and people; no two callers of one endpoint have the same."""
    kind: Literal["anyone", "token", "key", "jwt"]
    credential: str
    """What its sessions are bound to: another key of the same name is another credential."""
    roles: tuple[str, ...] = ()
    limited: bool = False
    """Whether it may do only what its roles allow, even where no such role is written down."""
    scopes: tuple[str, ...] = ()
    issuer: str | None = None
    """Who vouches for it, where that is somebody else."""


ANYONE = Principal(name="anyone", kind="anyone", credential="")
"""Whoever calls where no authentication is asked for."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request is not let in. `error` and `scope` are those of RFC 6750, section 3."""

    status: int
    sentence: str
    error: str = ""
    scope: str = ""


class Authenticator(Protocol):
    """One way to tell who calls."""

    async def authenticate(self, token: str) -> Principal | Refusal | None:
        """Whose the bearer token is, or why it is refused; None where it is none of this kind."""


class OwnToken:
    """The one token of this endpoint, generated or given: whoever has it may do everything."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._principal = Principal(name="token", kind="token", credential="token")

    async def authenticate(self, token: str) -> Principal | None:
        # In a time that does not tell how much of it was right.
        return self._principal if hmac.compare_digest(token.encode("latin-1"), self._token) else None


def principal_of(scope: Mapping[str, Any]) -> Principal | None:
    """Whom the guard let in with this request; None where no guard stands before."""
    found: Principal | None = scope.get(IN_SCOPE)
    return found
