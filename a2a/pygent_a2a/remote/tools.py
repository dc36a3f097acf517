"""The tools of agents elsewhere, described by their own cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

import mcp.types as t
from a2a.types import AgentCard, AgentSkill
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_a2a.remote import asking
from pygent_a2a.remote.agent import Agent, Headers
from pygent_a2a.remote.agents import Agents
from pygent_a2a.remote.answers import answered
from pygent_a2a.remote.exchange import LATE_SECONDS, Exchange
from pygent_a2a.remote.told import Told
from pygent_shared import traces
from pygent_shared.server import SuiteServer

CARD = "pygent/card"
"""The `_meta` key that holds what a person approves of a card besides what a model reads."""

ASKS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
LOOKS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=True)
STOPS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)

LONGEST_DESCRIPTION = 1000
LONGEST_SKILL = 200
MOST_SKILLS = 12

Wait = Annotated[
    float,
    Field(ge=0, le=600, description="Seconds to wait for the answer; the agent goes on without you."),
]
TaskId = Annotated[str, Field(description="A task's id, as ask_… gave it.")]
Whose = Annotated[str, Field(description="The agent whose task it is. Empty: the only one there is.")]

UNNAMED = "The agent has not named its task yet; if it does so soon, it is stopped then."
HOW = """\
Returns its answer; state `working` with a task when it takes longer than wait_s (get_task waits on); or \
state `input-required` with a question: call this again with that task and the answer. To go on with a \
conversation, give its context."""


def add_agent(server: SuiteServer[Agents], agent: Agent) -> None:
    """Add `ask_<agent>`, or put it in the place of what its last card made of it."""
    name, card = agent.remote.name, agent.card
    tool = f"ask_{name}"

    async def ask(
        ctx: Context[Agents],
        message: Annotated[str, Field(description="What you say to the agent, with all it must know.")],
        task: Annotated[str, Field(description="A task that asked you something: this answers it.")] = "",
        context: Annotated[
            str, Field(description="The context of an earlier answer, to go on from there.")
        ] = "",
        wait_s: Wait = 50.0,
    ) -> CallToolResult | t.InputRequiredResult:
        agents = _agents(ctx)
        return await _asked(agents, agents.named(name), ctx, message, task, context, wait_s)

    if _has(server, tool):
        server.remove_tool(tool)
    server.add_tool(
        ask,
        name=tool,
        title=f"Ask {_short(card.agent.name, 80) or name}",
        description=described(agent.remote.card, card.agent),
        annotations=ASKS,
        meta={CARD: card.facts},
    )


def add_rest(server: SuiteServer[Agents], agents: Agents) -> None:
    """Add what needs no card: the tools for tasks, and each agent's card to be read."""
    if _has(server, "get_task"):
        return
    _add_tasks(server)
    for name, agent in agents.all.items():
        server.resource(
            f"a2a://{name}/card",
            name=f"{name}-card",
            title=f"Card of {name}",
            description=f"What the agent {name} says of itself, whole.",
            mime_type="application/json",
        )(partial(_document, agent))


def _document(agent: Agent) -> str:
    return json.dumps(agent.card.document, ensure_ascii=False, indent=2)


def _add_tasks(server: SuiteServer[Agents]) -> None:
    @server.tool(title="Look at an agent's task", annotations=LOOKS)
    async def get_task(
        context: Context[Agents], task: TaskId, agent: Whose = "", wait_s: Wait = 0.0
    ) -> CallToolResult:
        """How a task stands that ask_… gave a handle of: its answer, its question, or that it goes on. With
        wait_s it is waited for."""
        agents, headers = _agents(context), traces.onward()
        found = agents.named(agent)
        agents.refuse_foreign(found, task)
        report = partial(_report, context)
        if kept := agents.kept(found, task):
            told = await kept.wait(wait_s, report)
            agents.note(found, told.task_id, told.context_id)
            return answered(found.remote.name, told, task)
        told = await found.look(task, headers)
        if not told.is_settled and wait_s > 0:
            exchange = Exchange(found, agents.tasks, headers, stops=False)
            exchange.begin(partial(_followed, found, task, headers))
            told = await exchange.wait(wait_s, report)
            exchange.leave()
        return answered(found.remote.name, told, task)

    @server.tool(title="Stop an agent's task", annotations=STOPS)
    async def cancel_task(context: Context[Agents], task: TaskId, agent: Whose = "") -> CallToolResult:
        """Tell an agent to stop a task. What it has made so far can still be looked at."""
        agents = _agents(context)
        found = agents.named(agent)
        agents.refuse_foreign(found, task)
        if kept := agents.kept(found, task):
            task = await kept.named(LATE_SECONDS) or task
            if not kept.told.task_id:
                kept.give_up()
                return answered(found.remote.name, kept.told, task, UNNAMED)
        return answered(found.remote.name, await found.cancel(task, traces.onward()), task)


def _agents(context: Context[Agents]) -> Agents:
    return context.request_context.lifespan_context


def _has(server: SuiteServer[Agents], tool: str) -> bool:
    return any(known.name == tool for known in server._tool_manager.list_tools())


async def _asked(
    agents: Agents,
    agent: Agent,
    context: Context[Agents],
    message: str,
    task: str,
    within: str,
    wait_s: float,
) -> CallToolResult | t.InputRequiredResult:
    """Say it, wait, and put what the agent asks to the user, as far as this host allows."""
    name, headers = agent.remote.name, traces.onward()
    agents.refuse_foreign(agent, task, within)
    if reply := asking.brought(context):
        agents.refuse_foreign(agent, reply.task)
        if reply.action != "accept":
            return await _unanswered(agent, reply, headers)
        message, task, within = reply.text, reply.task, reply.context
    if task and not within:  # many agents take a task without its context for one in a new context
        within = (await agent.look(task, headers)).context_id
    for _ in range(asking.MOST_ROUNDS):
        exchange = Exchange(agent, agents.tasks, headers)
        exchange.begin(partial(agent.ask, text=message, context=within, task=task, headers=headers))
        told = await exchange.wait(wait_s, partial(_report, context))
        agents.note(agent, told.task_id, told.context_id)
        if not exchange.is_over and not told.task_id:
            return answered(name, told, agents.keep(agent, exchange))
        exchange.leave()
        if told.state != "input-required" or not asking.can_ask(context):
            return answered(name, told)
        asked = await asking.asked(context, told)
        if isinstance(asked, t.InputRequiredResult):
            return asked
        if asked.action != "accept":
            return await _unanswered(agent, asked, headers)
        message, task, within = asked.text, asked.task, asked.context
    return answered(name, told)


async def _unanswered(agent: Agent, reply: asking.Reply, headers: Headers) -> CallToolResult:
    """The question as the result: the user did not answer it."""
    told = await agent.look(reply.task, headers)
    did = "declined to answer" if reply.action == "decline" else "closed the question without an answer"
    return answered(agent.remote.name, told, note=f"The user {did}.")


async def _followed(agent: Agent, task: str, headers: Headers, told: Told, tell: Any) -> None:
    await agent.follow(told, tell, task, headers)


async def _report(context: Context[Agents], number: int, words: str) -> None:
    await context.report_progress(number, message=words)


def described(url: str, card: AgentCard) -> str:
    """What a model reads of an agent: who it is, what it can do, and how its answer comes."""
    host = urlsplit(url).netloc
    about = _short(card.description, LONGEST_DESCRIPTION) or "It does not say what it does."
    lines = [f'Ask the agent "{_short(card.name, 80)}" at {host}, another program. {about}']
    if card.skills:
        lines += ["", "It can:", *_skills(card)]
    return "\n".join([*lines, "", HOW])


def _skills(card: AgentCard) -> Iterator[str]:
    yield from map(_skill, card.skills[:MOST_SKILLS])
    if (more := len(card.skills) - MOST_SKILLS) > 0:
        yield f"- and {more} more; see the resource with its card"


def _skill(skill: AgentSkill) -> str:
    example = f' (such as: "{_short(skill.examples[0], 80)}")' if skill.examples else ""
    return f"- {_short(skill.name, 80)}: {_short(skill.description, LONGEST_SKILL)}{example}"


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
