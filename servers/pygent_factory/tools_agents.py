"""The tools that make and change agents."""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_factory import types
from pygent_factory.answers import AgentAnswer, AgentRow, AgentsAnswer, TypesAnswer
from pygent_factory.factory import Factory
from pygent_factory.lifecycle import Move
from pygent_factory.spec import agent_name
from pygent_shared.server import SuiteServer, answer
from pygent_shared.subscribers import Subscribers

READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
)

Name = Annotated[str, Field(description="The agent's name.")]
Instructions = Annotated[str, Field(description="The system prompt. Empty: as it is.")]
Model = Annotated[
    str | list[str],
    Field(
        description="host (your own model, no key), auto, openai:…, anthropic:…, ollama:…; several are tried "
        "in their order. Empty: as it is."
    ),
]
Tools = Annotated[
    list[str], Field(description="Patterns of tools it may use, such as rag__*. Empty: as it is.")
]
More = Annotated[
    dict[str, Any],
    Field(
        description="Further fields: description, strategy, capabilities, output (JSON Schema), needs, "
        "budget (of a run: requests, tokens, usd, seconds), allowance (of all its runs)."
    ),
]


def add_agents(server: SuiteServer[Factory], factory: Factory) -> None:
    """Add them. Whoever subscribed to `agent://NAME` is told of each change."""
    subscribers = Subscribers(server)

    def tell(context: Context[Any], *names: str) -> None:
        """Tell of the agents of these names, and of those that their files changed meanwhile."""
        for name in {*factory.taken_over(), *names}:
            subscribers.tell(context, f"agent://{name}")

    def shown(context: Context[Any], name: str) -> CallToolResult:
        data = AgentAnswer.of(factory.agents.get(name), factory.agents.events(name), *factory.source(name))
        tell(context)
        return answer(data.text(), data)

    def changed(context: Context[Any], name: str) -> CallToolResult:
        tell(context, name)
        return shown(context, name)

    def moved(context: Context[Any], name: str, move: Move) -> CallToolResult:
        factory.agents.move(name, move, factory.now())
        return changed(context, name)

    @server.tool(title="Kinds of agents", annotations=READS)
    def agent_types() -> Annotated[CallToolResult, TypesAnswer]:
        """The kinds of agents there are to begin with, and what each is good for. Next: create_agent."""
        factory.agents.names()  # so that files are looked at
        data = TypesAnswer.of(factory.kinds, factory.problems)
        return answer(data.text(), data)

    @server.tool(title="Create an agent", annotations=CHANGES)
    def create_agent(
        context: Context[Any],
        name: Annotated[str, Field(description="A new name: letters a-z, digits, - and _.")],
        type: Annotated[
            str, Field(description='A kind, from agent_types; "" for none: you give the instructions.')
        ] = "general",
        instructions: Instructions = "",
        model: Model = "",
        tools: Tools = [],
        more: More = {},
    ) -> Annotated[CallToolResult, AgentAnswer]:
        """Make an agent of a kind, with your own changes to it. It takes runs once deploy_agent was called.
        One without instructions, as type "" leaves it, is a draft until configure_agent gives it some.

        Returns the whole agent, and what to do next.
        """
        kind = types.of(type, factory.kinds)
        spec = kind.changed(_changes(instructions, model, tools, more), begun=not kind.lacking)
        factory.agents.create(agent_name(name), spec, factory.now())
        return changed(context, name)

    @server.tool(title="Change an agent", annotations=CHANGES)
    def configure_agent(
        context: Context[Any],
        name: Name,
        instructions: Instructions = "",
        model: Model = "",
        tools: Tools = [],
        more: More = {},
    ) -> Annotated[CallToolResult, AgentAnswer]:
        """Change an agent: a new version is made, and runs that have begun go on with theirs.

        Returns the whole agent as it is now.
        """
        factory.agents.configure(name, _changes(instructions, model, tools, more), factory.now())
        return changed(context, name)

    @server.tool(title="List agents", annotations=READS)
    def list_agents(
        context: Context[Any],
        type: Annotated[str, Field(description="Only of this kind.")] = "",
        capability: Annotated[str, Field(description="Only those that can be asked for this.")] = "",
        state: Annotated[str, Field(description="Only in this state, such as deployed.")] = "",
    ) -> Annotated[CallToolResult, AgentsAnswer]:
        """The agents there are. Use it to find one for a task, by what it can be asked for."""
        found = [
            AgentRow.of(agent)
            for agent in factory.agents.all()
            if type in ("", agent.spec.type)
            and (not capability or capability in agent.spec.capabilities)
            and state in ("", agent.state)
        ]
        tell(context)
        data = AgentsAnswer(agents=found, problems=list(factory.problems))
        return answer(data.text(), data)

    @server.tool(title="Show an agent", annotations=READS)
    def show_agent(context: Context[Any], name: Name) -> Annotated[CallToolResult, AgentAnswer]:
        """An agent whole: instructions, tools, model, budget, state, where it came from, and who changed what
        when. As a file: agent://NAME/toml or agent://NAME/yaml."""
        return shown(context, name)

    @server.tool(title="Deploy an agent", annotations=CHANGES)
    def deploy_agent(context: Context[Any], name: Name) -> Annotated[CallToolResult, AgentAnswer]:
        """Let an agent take runs, for the first time or again after a pause. Next: run_agent."""
        return moved(context, name, "deploy")

    @server.tool(title="Pause an agent", annotations=CHANGES)
    def pause_agent(context: Context[Any], name: Name) -> Annotated[CallToolResult, AgentAnswer]:
        """Let an agent take no new runs; those that have begun go on. deploy_agent takes it back."""
        return moved(context, name, "pause")

    @server.tool(title="Retire an agent", annotations=ENDS)
    def retire_agent(context: Context[Any], name: Name) -> Annotated[CallToolResult, AgentAnswer]:
        """End an agent for good: its name stays taken and its runs stay readable. pause_agent can be undone,
        this cannot."""
        return moved(context, name, "retire")


def _changes(
    instructions: str, model: str | list[str], tools: list[str], more: dict[str, Any]
) -> dict[str, Any]:
    given = {"instructions": instructions, "model": model, "tools": tools}
    return {**more, **{key: value for key, value in given.items() if value}}
