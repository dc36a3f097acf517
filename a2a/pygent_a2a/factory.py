"""The factory as A2A needs it: its agents and their runs, over MCP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pygent_shared.errors import PeerError
from pygent_shared.fronts import Progress, Tools
from pygent_shared.http.identity import Principal

PREFIX = "factory__"


class FactoryRefused(PeerError):
    """The factory answered a call with an error; its sentence is for whoever asked."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """A deployed agent."""

    name: str
    version: int
    description: str
    spec: dict[str, Any]


class Factory:
    """Calls the factory's tools.

    Args:
        tools: of the suite, the factory's among them.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def agents(self) -> list[Agent]:
        """Those that take runs now."""
        listed = await self.call("list_agents", {"state": "deployed"})
        return [await self._agent(row["name"]) for row in listed["agents"]]

    async def _agent(self, name: str) -> Agent:
        shown = await self.call("show_agent", {"name": name})
        row = shown["agent"]
        return Agent(
            name=row["name"], version=row["version"], description=row["description"], spec=shown["spec"]
        )

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        *,
        caller: Principal | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What a tool of the factory answers, for programs.

        Raises:
            FactoryRefused: it refused.
            PygentError: it cannot be reached.
        """
        result = await self._tools.call(PREFIX + tool, arguments, caller=caller, progress=progress)
        if result.get("isError"):
            raise FactoryRefused(" ".join(part.get("text", "") for part in result.get("content", [])))
        data: dict[str, Any] = result.get("structuredContent") or {}
        return data
