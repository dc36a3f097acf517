"""The tools for features: from what is wanted of a repository to tested code merged into it."""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from pygent_orchestration.features import prp
from pygent_orchestration.features.answers import ContextAnswer, FeatureAnswer, FeatureRow, FeaturesAnswer
from pygent_orchestration.features.features import Features
from pygent_orchestration.features.model import Feature, Gate, Plan, Request, Verdict
from pygent_orchestration.orchestration import Orchestration
from pygent_orchestration.tools_definitions import CHANGES, READS
from pygent_orchestration.tools_workflows import BEGINS, STOPS
from pygent_shared.server import SuiteServer, answer

Id = Annotated[str, Field(description="A feature's id, as submit_feature gave it.")]
Wait = Annotated[
    float,
    Field(ge=0, le=600, description="Seconds to wait until it is over or asks something; it goes on anyway."),
]


def add_features(server: SuiteServer[Orchestration], orchestration: Orchestration) -> None:
    """Add them."""

    @server.tool(title="Submit a feature", annotations=BEGINS)
    async def submit_feature(
        context: Context[Any],
        request: Annotated[str, Field(min_length=1, description="What is wanted, and all one must know.")],
        repository: Annotated[str, Field(description="The folder of a git repository on this machine.")],
        branch: Annotated[
            str, Field(description="What to merge into. Empty: the branch that is checked out.")
        ] = "",
        tasks: Annotated[
            list[str], Field(description="Your own plan, a PRP in Markdown each; no planner is asked then.")
        ] = [],
        planner: Annotated[str, Field(description="A deployed agent of the factory.")] = "planner",
        coder: Annotated[
            str,
            Field(
                description="Another, which works on code. Empty: for each task, whoever is able and free."
            ),
        ] = "coder",
        reviewer: Annotated[str, Field(description="Another one. Empty: nobody reviews.")] = "reviewer",
        policy: Annotated[
            dict[str, Any],
            Field(
                description="What gates demand: tests (a folder outside the repository), paths, sources, …"
            ),
        ] = {},
        policies: Annotated[
            dict[str, dict[str, Any]], Field(description="By task: what of the policy is otherwise for it.")
        ] = {},
        health: Annotated[
            list[str], Field(description="A command that must exit with 0 once it is merged.")
        ] = [],
        approvals: Annotated[list[Gate], Field(description="What your user is asked about.")] = [
            "plan",
            "deployment",
        ],
        attempts: Annotated[int, Field(ge=1, le=20, description="That a coder has for each task.")] = 3,
        at_once: Annotated[int, Field(ge=1, le=16, description="Tasks at a time.")] = 2,
        wait_s: Wait = 0.0,
    ) -> Annotated[CallToolResult, FeatureAnswer]:
        """Have a change of a git repository planned, coded, tested, reviewed and merged. It is durable: it
        goes on when the connection ends, and after a crash.

        A planner divides it into tasks; each is done by a coder in a worktree of its own until all gates are
        green (ruff, mypy, tests that the coder cannot change, …) and a reviewer agrees. The branch you name
        is changed at the very end, and is put back if the health command fails then.

        Returns its id and where it stands. Next: feature_status, and answer_feature when it asks.
        """
        features = await orchestration.features()
        plan = Plan(tasks=[prp.parse(text) for text in tasks]) if tasks else None
        asked = Request(
            text=request,
            repository=repository,
            target=branch,
            plan=plan,
            planner=planner,
            coder=coder,
            reviewer=reviewer,
            policy=policy,
            policies=policies,
            health=health,
            approvals=approvals,
            attempts=attempts,
            at_once=at_once,
        )
        return await _followed(features, await features.submit(asked), context, wait_s)

    @server.tool(title="Look at a feature", annotations=READS)
    async def feature_status(
        context: Context[Any], feature: Id, wait_s: Wait = 0.0
    ) -> Annotated[CallToolResult, FeatureAnswer]:
        """Where a feature stands: its state (PLANNING, IMPLEMENTATION, REVIEW, DEPLOYMENT, COMPLETED or
        FAILED), its tasks with their timeline, what it asks, and why it failed. A task's PRP is
        feature://ID/prp/TASK, and all that happened feature://ID/events."""
        return await _followed(await orchestration.features(), feature, context, wait_s)

    @server.tool(title="List features", annotations=READS)
    async def list_features(
        repository: Annotated[str, Field(description="Only of this one.")] = "",
        limit: Annotated[int, Field(ge=1, le=200)] = 20,
    ) -> Annotated[CallToolResult, FeaturesAnswer]:
        """The newest features, and where they stand."""
        features = await orchestration.features()
        data = FeaturesAnswer(
            features=[FeatureRow.of(found) for found in await features.all(repository, limit)]
        )
        return answer(data.text(), data)

    @server.tool(title="Answer a feature", annotations=CHANGES)
    async def answer_feature(
        context: Context[Any],
        feature: Id,
        verdict: Annotated[
            Verdict,
            Field(description="change: the plan is made anew, or one more task is done; reject ends it."),
        ],
        comment: Annotated[str, Field(description="Needed for change: what is to be otherwise.")] = "",
        wait_s: Wait = 0.0,
    ) -> Annotated[CallToolResult, FeatureAnswer]:
        """Answer what a feature asks: whether its plan is good, and whether to merge what was done. Only with
        your user's consent. The first answer counts."""
        features = await orchestration.features()
        answered = await features.answer(feature, verdict, comment)
        return await _followed(features, feature, context, wait_s) if wait_s else _told(answered)

    @server.tool(title="Cancel a feature", annotations=STOPS)
    async def cancel_feature(feature: Id) -> Annotated[CallToolResult, FeatureAnswer]:
        """Stop a feature, with its tasks and their agents' runs. What is merged stays on the feature's own
        branch; resume_feature goes on from there."""
        return _told(await (await orchestration.features()).cancel(feature))

    @server.tool(title="Resume a feature", annotations=BEGINS)
    async def resume_feature(
        context: Context[Any], feature: Id, wait_s: Wait = 0.0
    ) -> Annotated[CallToolResult, FeatureAnswer]:
        """Go on with a feature that has failed or was cancelled, under a new id: the plan and the tasks that
        are merged into its branch are kept, the others are done again."""
        features = await orchestration.features()
        return await _followed(features, await features.resume(feature), context, wait_s)

    @server.tool(title="Context for a task", annotations=READS)
    async def get_context_for_task(
        task: Annotated[str, Field(min_length=1, description="What is to be done, in plain words.")],
        max_tokens: Annotated[int, Field(ge=100, le=50_000)] = 4_000,
    ) -> Annotated[CallToolResult, ContextAnswer]:
        """What is known that bears on a task: what failed before, what worked, and documents, each with its
        source. Call it before you plan or write. A feature's planner and coders are given it anyway."""
        data = ContextAnswer.of(await (await orchestration.features()).context(task, max_tokens))
        return answer(data.text(), data)


async def _followed(features: Features, id: str, context: Context[Any], wait_s: float) -> CallToolResult:
    async def report(feature: Feature) -> None:
        over = [task.state == "merged" for task in feature.tasks.values()]
        await context.report_progress(sum(over), len(over) or None, feature.state)

    return _told(await features.follow(id, wait_s, report))


def _told(feature: Feature) -> CallToolResult:
    data = FeatureAnswer.of(feature)
    return answer(data.text(), data)
