"""The `"auth"` of an entry: how we get the access tokens that its server asks for. Pure.

Source: RFC 6749, sections 2.3.1 and 4.4; RFC 8707 for `resource`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from pygent_shared.errors import did_you_mean
from pygent_shared.urls import is_private

REFUSES = "refuses what it was sent"
"""How a failure begins of a server that does not let us in."""
NO_TOKEN = "cannot be given an access token"
"""How a failure begins of an authorization server that does not give us one."""

_BASIC, _POST = "client_secret_basic", "client_secret_post"
_KEYS = ("type", "token_url", "client_id", "client_secret", "scope", "resource", "audience")
_METHOD = "token_endpoint_auth_method"


@dataclass(frozen=True, kw_only=True)
class ClientCredentials:
    """The `"auth"` of an entry of the config."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    resource: str = ""
    audience: str = ""
    method: str = _BASIC

    def form(self) -> dict[str, str]:
        """The body of the token request."""
        asked = {"scope": self.scope, "resource": self.resource, "audience": self.audience}
        if self.method == _POST:
            asked |= {"client_id": self.client_id, "client_secret": self.client_secret}
        given = {name: value for name, value in asked.items() if value}
        return {"grant_type": "client_credentials", **given}

    def basic(self) -> tuple[str, str] | None:
        """User name and password of the token request; both are encoded, as they may hold colons."""
        if self.method != _BASIC:
            return None
        return quote(self.client_id, safe=""), quote(self.client_secret, safe="")


def parse(raw: object, url: str, fill: Callable[[str, str], str]) -> ClientCredentials | None:
    """An entry's `"auth"`; its `fill` fills in the variables of a text that stands at a place.

    Raises:
        ValueError: it cannot be used; its text is a clause about the entry.
    """
    if raw is None:
        return None
    if not isinstance(raw, Mapping) or raw.get("type") != "client_credentials":
        raise ValueError('its "auth" must be an object with "type": "client_credentials"')
    for key, value in raw.items():
        if key not in (*_KEYS, _METHOD):
            raise ValueError(f'its "auth" has an unknown key "{key}".{did_you_mean(key, (*_KEYS, _METHOD))}')
        if not isinstance(value, str):
            raise ValueError(f'its "auth.{key}" must be text')
    if not url:
        raise ValueError('it has "auth", which only a server at a "url" asks for')
    given = {key: fill(raw.get(key, ""), f"auth.{key}") for key in _KEYS if key != "type"}
    for key in ("token_url", "client_id", "client_secret"):
        if not given[key]:
            raise ValueError(f'its "auth" lacks "{key}"')
    if not is_private(given["token_url"]):
        raise ValueError('its "auth.token_url" must begin with https://, or others could read the secret')
    method = raw.get(_METHOD, _BASIC)
    if method not in (_BASIC, _POST):
        raise ValueError(f'its "auth.{_METHOD}" must be {_BASIC} or {_POST}')
    return ClientCredentials(**{**given, "resource": given["resource"] or url}, method=method)
