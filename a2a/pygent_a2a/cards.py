"""Agent cards: what an agent says of itself to whoever wants to call it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentProvider,
    AgentSkill,
    HTTPAuthSecurityScheme,
    OpenIdConnectSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

from pygent_a2a.factory import Agent
from pygent_a2a.parts import JSON, TEXT
from pygent_shared.settings import Settings

JSONRPC, REST, GRPC = "JSONRPC", "HTTP+JSON", "GRPC"
VERSION = "1.0"
BEFORE = "0.3"
SUITE = "PyGent Factory"


class Cards:
    """Makes cards.

    Args:
        settings: how callers say who they are, and whether clients of earlier protocols are served.
        version: of the program.
        accepts: media types that messages may have besides texts and data.
    """

    def __init__(self, settings: Settings, version: str, accepts: Sequence[str] = ()) -> None:
        self._settings = settings
        self._version = version
        self._inputs = [TEXT, JSON, *accepts]

    def agent(self, agent: Agent, url: str) -> AgentCard:
        """The card of an agent that is reached at a URL (without a slash at its end)."""
        return AgentCard(
            name=agent.name,
            description=about(agent),
            version=str(agent.version),
            supported_interfaces=self._interfaces(url, agent.name),
            default_output_modes=outputs(agent),
            skills=skills(agent),
            **self._common(url),
        )

    def extended(self, agent: Agent, url: str) -> AgentCard:
        """What those who may call it learn besides: how it thinks, with which model and tools."""
        card = self.agent(agent, url)
        how = f"Model {agent.spec.get('model', 'host')}, strategy {agent.spec.get('strategy', 'react')}."
        card.description = f"{card.description} {how}"
        for skill in card.skills:
            skill.tags.extend(agent.spec.get("tools") or ())
        return card

    def suite(self, agents: Sequence[Agent], url: str) -> AgentCard:
        """The card of them all: each agent is a skill, and the tenant of a request names the agent."""
        return AgentCard(
            name=SUITE,
            description="The agents of a PyGent Factory. The tenant of a request names one of them.",
            version=self._version,
            supported_interfaces=self._interfaces(url),
            default_output_modes=sorted({mode for agent in agents for mode in outputs(agent)}) or [TEXT],
            skills=[_skill(agent, agent.name, agent.name) for agent in agents] or [_NONE],
            **self._common(url),
        )

    def _interfaces(self, url: str, tenant: str = "") -> list[AgentInterface]:
        """The ways to what is at a URL, the preferred one first; over gRPC its agent is a tenant."""
        versions = (VERSION, BEFORE) if self._settings.a2a_legacy == "on" else (VERSION,)
        # JSON-RPC with its slash: without one a router answers with a redirect, which a POST does not follow.
        ways = [
            AgentInterface(url=at, protocol_binding=binding, protocol_version=version)
            for version in versions
            for binding, at in ((JSONRPC, f"{url}/"), (REST, url))
        ]
        if self._settings.a2a_grpc_port:
            at = self._settings.a2a_grpc_url or _beside(url, self._settings.a2a_grpc_port)
            ways.insert(
                2, AgentInterface(url=at, protocol_binding=GRPC, protocol_version=VERSION, tenant=tenant)
            )
        return ways

    def _common(self, url: str) -> dict[str, Any]:
        origin = "/".join(url.split("/", 3)[:3])
        return {
            "provider": AgentProvider(organization=SUITE, url=origin),
            "capabilities": AgentCapabilities(
                streaming=True, push_notifications=self._settings.a2a_push != "off", extended_agent_card=True
            ),
            "default_input_modes": self._inputs,
            **self._security(),
        }

    def _security(self) -> dict[str, Any]:
        """How callers say who they are, as the guard asks it of them."""
        settings = self._settings
        if settings.auth == "none":
            return {}
        bearer = HTTPAuthSecurityScheme(scheme="bearer", description="The endpoint's token, or an API key.")
        schemes = {"bearer": SecurityScheme(http_auth_security_scheme=bearer)}
        asked = [SecurityRequirement(schemes={"bearer": StringList(list=[])})]
        if settings.oauth_issuer:
            where = f"{settings.oauth_issuer.rstrip('/')}/.well-known/openid-configuration"
            issuer = OpenIdConnectSecurityScheme(open_id_connect_url=where)
            schemes["issuer"] = SecurityScheme(open_id_connect_security_scheme=issuer)
            scopes = StringList(list=settings.oauth_scopes)
            asked.append(SecurityRequirement(schemes={"issuer": scopes}))
        return {"security_schemes": schemes, "security_requirements": asked}


def _beside(url: str, port: int) -> str:
    """Another port of the host of a URL."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def about(agent: Agent) -> str:
    """What an agent is good for, in a sentence."""
    return agent.description or f"An agent of the kind {agent.spec['type']}."


def outputs(agent: Agent) -> list[str]:
    """The kinds of parts its answers have."""
    return [JSON] if agent.spec.get("output") else [TEXT]


def skills(agent: Agent) -> list[AgentSkill]:
    """What an agent declares that it can be asked for; itself where it declares nothing."""
    declared: Iterable[str] = agent.spec.get("capabilities") or (agent.name,)
    return [_skill(agent, one, one.replace("_", " ").replace("-", " ")) for one in declared]


def _skill(agent: Agent, id: str, name: str) -> AgentSkill:
    return AgentSkill(
        id=id,
        name=name,
        description=about(agent),
        tags=[agent.spec["type"], *(agent.spec.get("capabilities") or ())],
        examples=agent.spec.get("examples") or (),
        input_modes=[TEXT, JSON],
        output_modes=outputs(agent),
    )


_NONE = AgentSkill(id="none", name="none", description="No agent is deployed.", tags=["none"])
"""A card must have a skill."""
