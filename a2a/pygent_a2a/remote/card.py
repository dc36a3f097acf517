"""What an agent says it is: its card, fetched, its signature checked, and what of it may not change unseen.

The one rule: a card is a stranger's text. It is believed about where the agent is and what it can do only as
far as it was approved (the registry pins the facts below), and a signature that is wrong is worse than none.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
from a2a.client.card_resolver import parse_agent_card
from a2a.types import AgentCard
from a2a.utils.signing import SignatureVerificationError, create_signature_verifier
from google.protobuf.json_format import MessageToDict, ParseError
from jwt import PyJWK
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode

from pygent_a2a.remote.remotes import Remote
from pygent_a2a.remote.wire import Unreached, origin
from pygent_shared.errors import AgentUnavailable, InvalidArgument, KeysUnavailable
from pygent_shared.http.jwks import ALGORITHMS, KeySet

BINDINGS = ("JSONRPC", "HTTP+JSON")
"""The ways to speak to an agent that we know, the preferred first."""
MOST_BYTES = 1_000_000
_BEFORE_03 = re.compile(r"0\.[12](\.|$)")
_SIGNING = sorted({algorithm for known in ALGORITHMS.values() for algorithm in known})


@dataclass(frozen=True, kw_only=True)
class Card:
    """An agent's card as it was fetched."""

    agent: AgentCard
    signed_by: str = ""
    """Id of the key that it was found to be signed with; "" where it is not signed, or nobody could check."""

    @cached_property
    def document(self) -> dict[str, Any]:
        """The card as JSON, without signatures: those differ each time the same card is signed."""
        whole: dict[str, Any] = MessageToDict(self.agent)
        whole.pop("signatures", None)
        return whole

    @cached_property
    def sha256(self) -> str:
        """The hash of all it says."""
        text = json.dumps(self.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a person approves of it besides the words that a model reads."""
        return {
            "sha256": self.sha256,
            "interfaces": [
                f"{one.protocol_binding} {one.protocol_version} {one.url}"
                for one in self.agent.supported_interfaces
            ],
            "security": self.schemes,
            "signed_by": self.signed_by,
        }

    @property
    def spoken(self) -> AgentCard:
        """The card with the protocols that the SDK knows: 0.2 is spoken as 0.3, which has all of it."""
        known = AgentCard()
        known.CopyFrom(self.agent)
        for interface in known.supported_interfaces:
            if _BEFORE_03.match(interface.protocol_version):
                interface.protocol_version = "0.3"
        return known

    @property
    def schemes(self) -> list[str]:
        """How it wants to be let in, in the card's words."""
        return [
            f"{name} ({(scheme.WhichOneof('scheme') or 'unknown').removesuffix('_security_scheme')})"
            for name, scheme in sorted(self.agent.security_schemes.items())
        ]


async def fetched(remote: Remote, http: httpx.AsyncClient) -> Card:
    """The card of an agent, as it is now.

    Raises:
        AgentUnavailable: there is none to be had, or it may not be used.
    """
    url, answer = await _document(remote, http)
    try:
        agent = parse_agent_card(answer)
    except (ParseError, AttributeError, TypeError, KeyError) as error:
        raise AgentUnavailable(remote.name, f"has a card that is none, at {url}: {error}") from error
    if not any(one.protocol_binding in BINDINGS for one in agent.supported_interfaces):
        offered = ", ".join(one.protocol_binding for one in agent.supported_interfaces) or "nothing"
        why = f"is spoken to by {offered} only, and pygent speaks {' and '.join(BINDINGS)}"
        raise AgentUnavailable(remote.name, why, "Ask its makers for one of these")
    card = Card(agent=agent, signed_by=await _signer(remote, url, agent))
    if remote.pin and card.sha256 != remote.pin:
        why = f"has another card than the pinned one: sha256 {card.sha256}"
        raise AgentUnavailable(remote.name, why, 'If it is right, write that as its "pin" in the config')
    return card


async def _document(remote: Remote, http: httpx.AsyncClient) -> tuple[str, dict[str, Any]]:
    """The JSON object at the first of the card's URLs that has one, and that URL."""
    why = "has no card"
    for url in remote.cards:
        try:
            response = await http.get(url, headers={"Accept": "application/json"})
        except httpx.HTTPError as error:
            raise unreached(remote, url, error) from error
        if response.status_code in (401, 403):
            raise locked_out(remote, response.status_code, [])
        why = f"has no card at {url}: it answered {response.status_code}"
        if response.is_redirect:
            where = response.headers.get("location", "")
            raise AgentUnavailable(
                remote.name, f"{why} and leads to {where}", "Name that one, if it is meant"
            )
        if response.status_code == 200:
            return url, _object(remote, url, response.content)
    raise AgentUnavailable(remote.name, why, 'Mend "card" in its entry of the config file')


def _object(remote: Remote, url: str, content: bytes) -> dict[str, Any]:
    if len(content) > MOST_BYTES:
        raise AgentUnavailable(remote.name, f"has a card of more than {MOST_BYTES:,} bytes at {url}")
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AgentUnavailable(remote.name, f"has no JSON object for a card at {url}")
    return found


async def _signer(remote: Remote, url: str, agent: AgentCard) -> str:
    """Id of the key that the card is signed with; "" where nobody can tell and nobody asked.

    A card may name the place of its keys (`jku`). That counts where it is the card's own origin: elsewhere
    anybody could have signed it. Keys that the config names count before it.
    """
    known: dict[str, PyJWK] = {}
    for signature in agent.signatures:
        header = _header(signature.protected)
        kid, algorithm = str(header.get("kid", "")), str(header.get("alg", ""))
        jku = str(header.get("jku", ""))
        source = remote.keys or (jku if jku and origin(jku) == origin(url) else "")
        if source and algorithm in _SIGNING:
            if key := await _key(remote, source, kid, algorithm):
                known[kid] = key
            elif not remote.keys:
                why = f"has a card signed with the key {kid!r}, which is not among those at {source}"
                raise AgentUnavailable(remote.name, why, "Ask its makers; do not use it meanwhile")
    if not known:
        if remote.keys:
            why = "has a card that none of the keys in the config signed"
            raise AgentUnavailable(remote.name, why, 'Mend "keys" in its entry, or ask its makers')
        return ""
    used: list[str] = []

    def provide(kid: str | None, jku: str | None) -> PyJWK:
        if kid not in known:
            raise PyJWTError(f"no key {kid}")
        used.append(kid)
        return known[kid]

    try:
        create_signature_verifier(provide, _SIGNING)(agent)
    except SignatureVerificationError as error:
        why = "has a card whose signature is wrong: somebody changed it"
        raise AgentUnavailable(remote.name, why, "Ask its makers; do not use it meanwhile") from error
    return used[-1]


async def _key(remote: Remote, source: str, kid: str, algorithm: str) -> PyJWK | None:
    try:
        return await KeySet(remote.name, source).find(kid, algorithm)
    except (KeysUnavailable, InvalidArgument) as error:
        why = f"has a signed card, whose keys cannot be had from {source}"
        raise AgentUnavailable(remote.name, why) from error


def _header(protected: str) -> dict[str, Any]:
    """The protected header of a signature; empty where it is none."""
    try:
        header = json.loads(base64url_decode(protected))
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def unreached(remote: Remote, url: str, error: httpx.HTTPError) -> AgentUnavailable:
    """That a URL of an agent is not reached."""
    why = f"cannot be reached at {url} ({str(error) or type(error).__name__})"
    if isinstance(error, Unreached) and error.blocked:
        cure = 'If it is meant, allow it: "allow_private": true in its entry of the config file'
        return AgentUnavailable(remote.name, why, cure)
    return AgentUnavailable(remote.name, why)


def locked_out(remote: Remote, status: int, schemes: list[str]) -> AgentUnavailable:
    """That an agent does not let us in."""
    asks = f"; its card asks for {', '.join(schemes)}" if schemes else ""
    cure = (
        'Give it "auth", or a header such as Authorization under "headers", in its entry of the config file'
    )
    return AgentUnavailable(remote.name, f"refuses what it was sent: it answered {status}{asks}", cure)
