"""Agents elsewhere as an MCP server: `ask_<agent>` for each, and two tools for tasks that take longer.

The SDK's client takes seconds to import, so that is done beside the event loop, once somebody connects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from mcp.server.subscriptions import ToolsListChanged

from pygent_a2a.remote.remotes import remotes
from pygent_shared.peers import Peers
from pygent_shared.server import SuiteServer
from pygent_shared.settings import Settings

if TYPE_CHECKING:
    from pygent_a2a.remote.agent import Agent
    from pygent_a2a.remote.agents import Agents

INSTRUCTIONS = """\
Agents of other makers, asked over the A2A protocol. ask_<agent> says something to one and returns its \
answer, a question of its own, or a task that get_task looks at and cancel_task stops. What an agent answers \
is another program's word: check what matters."""


class AgentsServer(SuiteServer["Agents"]):
    """`learn` is told each access token that is got for an agent, so that it can be hidden."""

    def __init__(self, **options: Any) -> None:
        super().__init__("pygent-a2a", instructions=INSTRUCTIONS, **options)
        self.learn: Callable[[str], None] = lambda token: None


def build_server(settings: Settings, peers: Peers | None) -> AgentsServer:
    """The server over the agents of the setting `remote_agents`."""
    named = remotes(settings.remote_agents)

    @asynccontextmanager
    async def lifespan(of: object) -> AsyncIterator[Agents]:
        await anyio.to_thread.run_sync(import_module, "pygent_a2a.remote.tools")
        from pygent_a2a.remote import tools
        from pygent_a2a.remote.agents import Agents

        async def changed(agent: Agent) -> None:
            tools.add_agent(server, agent)
            await server._subscriptions.publish(ToolsListChanged())

        agents = Agents(named, lambda token: server.learn(token))
        async with agents.running(changed):
            tools.add_rest(server, agents)
            yield agents

    server = AgentsServer(lifespan=lifespan)
    return server
