"""The tools that run agents."""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import mcp.types as t
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_factory.answers import RunAnswer, RunsAnswer
from pygent_factory.factory import Factory
from pygent_factory.front import asks, brought, can_ask, declared, followed, to_be_asked
from pygent_factory.metrics import MetricsAnswer
from pygent_factory.runs import Need, Question, Run, Runs
from pygent_factory.tools_agents import READS
from pygent_shared.server import SuiteServer, answer
from pygent_shared.tasks.extension import is_offered

RUNS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
STOPS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)

FIFTY = 50.0
"""Seconds: many a host gives a call up after sixty."""
MOST_MEASURED = 1000
"""Runs that the metrics look at, the newest."""

RunId = Annotated[str, Field(description="A run's id, as run_agent gave it.")]
Wait = Annotated[
    float, Field(ge=0, le=600, description="Seconds to wait for the end; the run goes on without you.")
]
OwnId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="An id of your own: the same call again is then the same run. Empty: a new one.",
    ),
]
Seen = Annotated[
    int,
    Field(
        ge=-1, description="Come back as soon as it has said more to its user than so much. -1: at its end."
    ),
]


def add_runs(server: SuiteServer[Factory], factory: Factory) -> None:
    """Add them."""

    @server.tool(title="Run an agent", annotations=RUNS)
    async def run_agent(
        context: Context[Any],
        name: Annotated[str, Field(description="A deployed agent.")],
        task: Annotated[str, Field(description="What it is to do, with all it must know.")],
        workspace: Annotated[
            str, Field(description="For agents that work on code: the path of a git repository.")
        ] = "",
        branch: Annotated[str, Field(description="Where the work begins. Empty: what is checked out.")] = "",
        capabilities: Annotated[
            list[str], Field(description="What the task asks for; an agent that lacks some of it is refused.")
        ] = [],
        wait_s: Wait = FIFTY,
        id: OwnId = "",
    ) -> CallToolResult | t.InputRequiredResult:
        """Give an agent a task. The run is durable: it goes on when the connection ends, and after a crash.

        Returns state `done` with the answer; `running` when it takes longer (get_run waits on); or
        `needs_completion`: then you are its model. Answer the messages under the system prompt that came, and
        pass your answer to continue_run, until the state is `done`. An agent that works on code does so in a
        worktree of the repository on a branch of its own, which stays; nothing is merged.
        """
        runs = await factory.runs()
        run = await brought(runs, context) or await runs.begin(
            name,
            task,
            workspace=workspace,
            branch=branch,
            capabilities=capabilities,
            id=id,
            asks=asks(context),
        )
        return await _answered(factory, runs, run, context, wait_s)

    @server.tool(title="Talk with an agent", annotations=RUNS)
    async def chat(
        context: Context[Any],
        name: Annotated[str, Field(description="A deployed agent.")],
        message: Annotated[str, Field(description="What you say to it.")],
        conversation: Annotated[
            str, Field(description="Any name; what was said under it is known.")
        ] = "chat",
        wait_s: Wait = FIFTY,
        id: OwnId = "",
    ) -> CallToolResult | t.InputRequiredResult:
        """Say something to an agent that remembers what was said before in this conversation, word for word.
        Each message is a run. Returns what run_agent does.
        """
        runs = await factory.runs()
        run = await brought(runs, context) or await runs.begin(
            name, message, conversation=conversation, id=id, asks=asks(context)
        )
        return await _answered(factory, runs, run, context, wait_s)

    @server.tool(title="Go on with a run", annotations=RUNS)
    async def continue_run(
        context: Context[Any],
        run: RunId,
        reply: Annotated[
            str,
            Field(
                description="Your answer to the messages; to use tools, the JSON the system prompt shows. Or "
                "what the user answers."
            ),
        ],
        wait_s: Wait = FIFTY,
    ) -> CallToolResult | t.InputRequiredResult:
        """Answer a run in state `needs_completion` as its model, or one in state `needs_input` for its user.
        Returns what run_agent does: the end, or the next messages to answer."""
        runs = await factory.runs()
        if await brought(runs, context) is None:
            found = await runs.follow(run, number := runs.answered(run), 0)
            if isinstance(found, Need):
                await runs.answer(run, number, reply, "host")
            elif isinstance(found, Question):
                await runs.reply(found, reply)
        return await _answered(factory, runs, run, context, wait_s)

    @server.tool(title="Look at a run", annotations=READS)
    async def get_run(
        context: Context[Any], run: RunId, wait_s: Wait = 0.0, seen: Seen = -1
    ) -> CallToolResult | t.InputRequiredResult:
        """A run as it stands: its answer, its error, or what it needs. The whole trace is run://ID."""
        runs = await factory.runs()
        await brought(runs, context)
        return await _answered(factory, runs, run, context, wait_s, seen)

    @server.tool(title="Stop a run", annotations=STOPS)
    async def cancel_run(run: RunId) -> Annotated[CallToolResult, RunAnswer]:
        """Stop a run, and the step it is at. What it has done so far stays readable; resume_run goes on."""
        return told(factory, await (await factory.runs()).cancel(run))

    @server.tool(title="Resume a run", annotations=RUNS)
    async def resume_run(
        context: Context[Any], run: RunId, wait_s: Wait = FIFTY
    ) -> CallToolResult | t.InputRequiredResult:
        """Go on with a run that cancel_run stopped, after the last step it has done: nothing is asked or paid
        twice. Returns what run_agent does."""
        runs = await factory.runs()
        if (brought_to := await brought(runs, context)) is None:
            await runs.resume(run)
        return await _answered(factory, runs, brought_to or run, context, wait_s)

    @server.tool(title="List runs", annotations=READS)
    async def list_runs(
        agent: Annotated[str, Field(description="Only of this agent.")] = "",
        limit: Annotated[int, Field(ge=1, le=200)] = 20,
    ) -> Annotated[CallToolResult, RunsAnswer]:
        """The newest runs and where they stand."""
        data = RunsAnswer.of(await (await factory.runs()).all(agent, limit))
        return answer(data.text(), data)

    @server.tool(title="How an agent does", annotations=READS)
    async def agent_metrics(
        name: Annotated[str, Field(description="An agent.")],
    ) -> Annotated[CallToolResult, MetricsAnswer]:
        """How an agent's runs went, by version: how many ended well, how long they took and what they spent.
        Use it to compare versions after configure_agent."""
        factory.agents.get(name)
        data = MetricsAnswer.of(name, await (await factory.runs()).all(name, MOST_MEASURED))
        return answer(data.text(), data)


async def _answered(
    factory: Factory, runs: Runs, run: str, context: Context[Any], wait_s: float, seen: int = -1
) -> CallToolResult | t.InputRequiredResult:
    found = await followed(runs, run, context, wait_s, None if seen < 0 else seen)
    if isinstance(found, t.InputRequiredResult):
        return found
    said = await runs.said(run, max(seen, 0))
    if isinstance(found, Need | Question):
        stands = told(factory, await runs.get(run), found, said)
        if isinstance(found, Question) and can_ask(declared(context), found) and not is_offered():
            return to_be_asked(found, stands.structured_content or {})
        return stands
    return told(factory, found, said=said)


def told(
    factory: Factory, run: Run, need: Need | Question | None = None, said: Sequence[dict[str, Any]] = ()
) -> CallToolResult:
    """A run as a tool's answer."""
    models = factory.agents.version(run.agent, run.version).models
    data = RunAnswer.of(run, models=models, need=need, said=said)
    return answer(data.text(), data)
