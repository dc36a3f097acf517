"""Which agents elsewhere there are: the setting `remote_agents`, understood. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pygent_shared.errors import SettingInvalid
from pygent_shared.http.credentials import ClientCredentials

WELL_KNOWN = (".well-known/agent-card.json", ".well-known/agent.json")
"""Where a card lies below an agent's base URL: since 0.3, and before."""


class _Written(BaseModel):
    """One agent as it is written."""

    model_config = ConfigDict(extra="forbid")

    card: str = Field(pattern=r"^https?://[^/\s]+")
    headers: dict[str, str] = {}
    auth: ClientCredentials | None = None
    pin: str = Field("", pattern=r"^((sha256:)?[0-9a-f]{64})?$")
    keys: str = ""
    allow_private: bool = False


@dataclass(frozen=True, kw_only=True)
class Remote:
    """An agent elsewhere, as the config names it."""

    name: str
    card: str
    """URL of its card, or of the folder above `.well-known`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: ClientCredentials | None = None
    """How access tokens for it are got."""
    pin: str = ""
    """The sha-256 that its card must have, in hexadecimal; "" is any."""
    keys: str = ""
    """URL or file of the keys (JWKS) that its card must be signed with; "" asks for no signature."""
    allow_private: bool = False
    """Whether it may be at any address, and its card may lead to any."""

    @property
    def cards(self) -> tuple[str, ...]:
        """Where its card may be, the likeliest first."""
        if urlsplit(self.card).path.endswith(".json"):
            return (self.card,)
        base = self.card.rstrip("/") + "/"
        return tuple(urljoin(base, path) for path in WELL_KNOWN)


_ALL = TypeAdapter(dict[str, _Written])


def remotes(written: str) -> tuple[Remote, ...]:
    """The agents of the setting's text; none where it is empty.

    Raises:
        SettingInvalid: it is not as it must be.
    """
    if not written:
        return ()
    cure = 'Write it so: {"researcher": {"card": "https://agents.example.com"}}'
    try:
        found = _ALL.validate_python(json.loads(written))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        expected = f"an object of agents ({place}: {error.errors()[0]['msg']})"
        raise SettingInvalid("PYGENT_REMOTE_AGENTS", "(hidden)", expected, cure) from None
    except ValueError as error:
        raise SettingInvalid("PYGENT_REMOTE_AGENTS", "(hidden)", "a JSON object of agents", cure) from error
    return tuple(
        Remote(
            name=name,
            card=agent.card,
            headers=agent.headers,
            auth=agent.auth,
            pin=agent.pin.removeprefix("sha256:"),
            keys=agent.keys,
            allow_private=agent.allow_private,
        )
        for name, agent in found.items()
    )
