"""Agent cards: what an agent says of itself to whoever wants to call it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

from pygent_a2a.factory import Agent

TEXT = "text/plain"
JSON = "application/json"
JSONRPC, REST = "JSONRPC", "HTTP+JSON"
VERSION = "1.0"


def agent_card(agent: Agent, url: str, *, guarded: bool) -> AgentCard:
    """The card of a deployed agent.

    Args:
        agent: what the factory says of it.
        url: where it is reached, without a slash at the end.
        guarded: whether callers must say who they are.
    """
    return AgentCard(
        name=agent.name,
        description=agent.description or f"An agent of the kind {agent.spec['type']}.",
        version=str(agent.version),
        supported_interfaces=interfaces(url),
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=[TEXT],
        default_output_modes=outputs(agent),
        skills=skills(agent),
        **security(guarded=guarded),
    )


def suite_card(agents: Sequence[Agent], url: str, version: str, *, guarded: bool) -> AgentCard:
    """The card of them all: each agent is a skill, and the tenant of a request names the agent."""
    return AgentCard(
        name="PyGent Factory",
        description="The agents of a PyGent Factory. The tenant of a request names one of them.",
        version=version,
        supported_interfaces=interfaces(url),
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=[TEXT],
        default_output_modes=sorted({mode for agent in agents for mode in outputs(agent)} or {TEXT}),
        skills=[_skill(agent, agent.name, agent.name) for agent in agents],
        **security(guarded=guarded),
    )


def interfaces(url: str) -> list[AgentInterface]:
    """The ways to call what is at a URL."""
    # JSON-RPC with its slash: without one a router answers with a redirect, which a POST does not follow.
    return [
        AgentInterface(url=f"{url}/", protocol_binding=JSONRPC, protocol_version=VERSION),
        AgentInterface(url=url, protocol_binding=REST, protocol_version=VERSION),
    ]


def outputs(agent: Agent) -> list[str]:
    """The kinds of parts its answers have."""
    return [JSON] if agent.spec.get("output") else [TEXT]


def skills(agent: Agent) -> list[AgentSkill]:
    """What an agent declares that it can be asked for; itself where it declares nothing."""
    declared: Iterable[str] = agent.spec.get("capabilities") or (agent.name,)
    return [
        _skill(agent, capability, capability.replace("_", " ").replace("-", " ")) for capability in declared
    ]


def _skill(agent: Agent, id: str, name: str) -> AgentSkill:
    return AgentSkill(
        id=id,
        name=name,
        description=agent.description or f"An agent of the kind {agent.spec['type']}.",
        tags=[agent.spec["type"], *agent.spec.get("capabilities", ())],
        input_modes=[TEXT],
        output_modes=outputs(agent),
    )


def security(*, guarded: bool) -> dict[str, Any]:
    """How callers say who they are."""
    if not guarded:
        return {}
    bearer = HTTPAuthSecurityScheme(scheme="bearer", description="The endpoint's token, or an API key.")
    return {
        "security_schemes": {"bearer": SecurityScheme(http_auth_security_scheme=bearer)},
        "security_requirements": [SecurityRequirement(schemes={"bearer": StringList(list=[])})],
    }
