"""The factory as A2A needs it: its agents and their runs, over MCP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import anyio

from pygent_shared.errors import NotAllowed, PeerError, UnknownName
from pygent_shared.fronts import Progress, Tools
from pygent_shared.http.identity import Principal

PREFIX = "factory__"
RUN = "pygent/run"
"""The `_meta` key under which a run stands that waits for its user, in a result that asks them."""
DEPLOYED = "deployed"
FRESH_SECONDS = 1.0
"""How long what the factory said of its agents is believed."""


class FactoryRefused(PeerError):
    """The factory answered a call with an error; its sentence is for whoever asked."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An agent of the factory, in its newest version."""

    name: str
    version: int
    state: str
    description: str
    spec: Mapping[str, Any]

    @property
    def is_deployed(self) -> bool:
        """Whether it takes runs now."""
        return self.state == DEPLOYED


class Factory:
    """Calls the factory's tools.

    Args:
        tools: of the suite, the factory's among them.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        *,
        caller: Principal | None = None,
        progress: Progress | None = None,
        meta: Mapping[str, Any] | None = None,
        asking: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What a tool of the factory answers, for programs. With `asking` (see `Peers.call_tool`) that may be
        a run that has a question to its user: then `again` takes the answer, and gives what `asking` is next.

        Raises:
            FactoryRefused: it refused, or this caller may not call it.
            PygentError: it cannot be reached.
        """
        try:
            result = await self._tools.call(
                PREFIX + tool, arguments, caller=caller, progress=progress, meta=meta or {}, asking=asking
            )
        except (NotAllowed, UnknownName) as error:
            if caller is None:
                raise
            why = "Your roles do not allow you to have agents work. Ask the owner of this endpoint."
            raise FactoryRefused(why) from error
        if result.get("isError"):
            raise FactoryRefused(" ".join(part.get("text", "") for part in result.get("content", [])))
        if result.get("resultType") == "input_required":
            return {**result["_meta"][RUN], "again": partial(_again, result)}
        data: dict[str, Any] = result.get("structuredContent") or {}
        return data


def _again(result: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """How a call is made again whose question the user has answered."""
    (key,) = result["inputRequests"]
    return {"inputResponses": {key: dict(answer)}, "requestState": result["requestState"]}


class Agents:
    """The agents there are and may be served, asked for anew when that is long ago.

    Args:
        patterns: of their names; none lets all be served.
    """

    def __init__(self, factory: Factory, patterns: tuple[str, ...]) -> None:
        self._factory = factory
        self._patterns = patterns
        self._known: dict[str, Agent] = {}
        self._until = 0.0
        self._asking = anyio.Lock()

    async def all(self) -> Mapping[str, Agent]:
        """Those that were ever deployed, by name; some may take no runs now.

        Raises:
            PygentError: the factory cannot be asked.
        """
        async with self._asking:
            if time.monotonic() >= self._until:
                self._known = await self._asked()
                self._until = time.monotonic() + FRESH_SECONDS
        return self._known

    async def deployed(self) -> list[Agent]:
        """Those that take runs now, by name."""
        return sorted(
            (one for one in (await self.all()).values() if one.is_deployed), key=lambda one: one.name
        )

    async def _asked(self) -> dict[str, Agent]:
        rows = (await self._factory.call("list_agents", {}))["agents"]
        served = [row for row in rows if self._is_served(row["name"]) and row["state"] != "configured"]
        return {row["name"]: await self._agent(row) for row in served}

    async def _agent(self, row: Mapping[str, Any]) -> Agent:
        known = self._known.get(row["name"])
        if known and known.version == row["version"]:
            spec = known.spec
        else:
            spec = (await self._factory.call("show_agent", {"name": row["name"]}))["spec"]
        return Agent(
            name=row["name"],
            version=row["version"],
            state=row["state"],
            description=row["description"],
            spec=spec,
        )

    def _is_served(self, name: str) -> bool:
        return not self._patterns or any(fnmatchcase(name, pattern) for pattern in self._patterns)
