"""Features as they are begun, asked about, answered and stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.to_thread import run_sync
from pydantic import ValidationError

from pygent_orchestration.actions import FACTORY, Actions, Red
from pygent_orchestration.coding import gates
from pygent_orchestration.coding.git import Repository
from pygent_orchestration.coding.merging import Check
from pygent_orchestration.coding.task import Coding
from pygent_orchestration.coding.work import CODING
from pygent_orchestration.features import planning
from pygent_orchestration.features.context import Context
from pygent_orchestration.features.course import topic
from pygent_orchestration.features.crew import Crew
from pygent_orchestration.features.events import Event
from pygent_orchestration.features.feature import FEATURE, Building
from pygent_orchestration.features.gathering import gathered
from pygent_orchestration.features.model import Feature, Request, Verdict
from pygent_orchestration.features.states import OVER
from pygent_orchestration.features.store import FeatureStore
from pygent_orchestration.features.tasks import policy_of
from pygent_shared.caller import caller
from pygent_shared.durable.engine import Engine, pause
from pygent_shared.durable.status import UNENDED
from pygent_shared.errors import IllegalMove, InvalidArgument, UnknownName

TYPES = {"planner": "planning", "coder": "coding", "reviewer": "review"}
"""The kinds of agents that ship for these parts."""
FOLLOW_SECONDS = 0.25
"""Between two looks at a feature, at most."""
GRACE_SECONDS = 5.0
"""For the last event of a feature whose workflow has ended."""

Report = Callable[[Feature], Awaitable[None]]
"""Is told where a feature stands, when that has changed."""


class Features:
    """Begins them and follows them.

    Args:
        store: of features.
        engine: carries them out, once it is needed.
        actions: reach agents, documents and memories.
        folder: for worktrees.
        check: the gates.
        limit: of tasks that one agent is given at once, where none is named; None is any number.
    """

    def __init__(
        self,
        store: FeatureStore,
        engine: Engine,
        actions: Actions,
        folder: Path,
        check: Check = gates.check,
        limit: int | None = None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._actions = actions
        crew = Crew(actions, store, limit)
        engine.workflow(FEATURE, Building(store, engine, actions, folder, check, crew).work)
        engine.workflow(CODING, Coding(actions, folder, self._waits, check).work)

    async def submit(self, request: Request) -> str:
        """Begin a feature. Returns its id.

        Raises:
            FileRefused, UnknownName: there is no such repository, or no such branch in it.
            InvalidArgument: the gates' policy, or the plan that was given, is of no use; or an agent is not
                there, or takes no runs.
        """
        asked = (await run_sync(_checked, request)).model_dump(mode="json")
        await self._look_at_agents(request)
        id = f"f{uuid4().hex[:12]}"
        self._store.append(id, "submitted", "submitted", asked)
        await self._engine.enqueue(FEATURE, asked, id=id)
        return id

    async def _look_at_agents(self, request: Request) -> None:
        """Raises InvalidArgument: one that is named is not there, or takes no runs."""
        if self._actions.is_alone:
            why = "is of other servers' agents, and this one stands alone"
            raise InvalidArgument("request", why, "Run it behind pygent serve or pygent up.")
        named = {"planner": "" if request.plan else request.planner}
        named |= {"coder": request.coder, "reviewer": request.reviewer}
        for role, name in named.items():
            if not name:
                continue
            try:
                shown = await self._actions.tool(f"{FACTORY}show_agent", {"name": name})
            except Red as error:
                cure = (
                    f'Make one: factory__create_agent(name="{name}", type="{TYPES[role]}"), then deploy it.'
                )
                raise InvalidArgument(role, str(error).rstrip("."), cure) from error
            if (state := shown["agent"]["state"]) != "deployed":
                cure = f'Deploy it: factory__deploy_agent(name="{name}").'
                raise InvalidArgument(role, f"{name} is {state}, and takes no runs", cure)

    async def get(self, id: str) -> Feature:
        """A feature as it stands. Raises UnknownName: there is none."""
        feature = self._store.get(id)
        if feature.state in OVER:
            return feature
        try:
            status = await self._engine.status(id)
        except UnknownName:  # a crash fell between the event and the engine
            await self._engine.enqueue(FEATURE, feature.request.model_dump(mode="json"), id=id)
            return feature
        if status.state in UNENDED:
            return feature
        why = status.error or f"Its workflow was {status.state}."
        return self._store.append(id, "ended", "moved", {"to": "FAILED", "why": why})

    async def all(self, repository: str, limit: int) -> list[Feature]:
        """The newest features, of one repository or of all."""
        return [await self.get(feature.id) for feature in self._store.all(repository, limit)]

    def events(self, id: str) -> list[Event]:
        """All that happened to a feature, oldest first. Raises UnknownName: there is none."""
        return self._store.events(id)

    async def follow(self, id: str, within: float, report: Report | None = None) -> Feature:
        """A feature once it is over or asks something, or after so many seconds."""
        began = time.monotonic()
        seen = ""
        while True:
            feature = await self.get(id)
            if report and feature.changed_at != seen:
                seen = feature.changed_at
                await report(feature)
            waited = time.monotonic() - began
            if feature.state in OVER or feature.question or waited > within:
                return feature
            await anyio.sleep(min(pause(waited, FOLLOW_SECONDS), max(within - waited, 0.01)))

    async def answer(self, id: str, verdict: Verdict, comment: str) -> Feature:
        """Answer what a feature asks. The first answer counts.

        Raises:
            IllegalMove: it asks nothing.
            InvalidArgument: it does not say what is to be changed.
        """
        feature = await self.get(id)
        if (question := feature.question) is None:
            cure = f'See where it stands: feature_status(feature="{id}")'
            raise IllegalMove(f"Feature {id}", f"{feature.state} and asks nothing", "answered", cure)
        if verdict == "change" and not comment.strip():
            raise InvalidArgument("comment", "is empty", "Say what is to be changed.")
        said = {"verdict": verdict, "comment": comment.strip(), "actor": caller()}
        await self._engine.signal(id, topic(question), said, key=f"{id}/{topic(question)}")
        with anyio.move_on_after(GRACE_SECONDS):
            while (feature := await self.get(id)).question == question:
                await anyio.sleep(FOLLOW_SECONDS / 5)
        return feature

    async def cancel(self, id: str) -> Feature:
        """Stop a feature, with its tasks and their agents' runs. What is merged into its branch stays there.

        Raises:
            IllegalMove: it is over, or being merged into its target.
        """
        await self.get(id)
        feature = self._store.append(id, "cancelled", "cancelled", {"why": "It was cancelled."})
        await self._engine.cancel(id)
        return feature

    async def resume(self, id: str) -> str:
        """Go on with a feature that has failed: another one, which begins with what is merged into the branch
        of the first, and has the tasks that are not. Returns its id.

        Raises:
            IllegalMove: it has not failed.
        """
        feature = await self.get(id)
        if feature.state != "FAILED":
            cure = f'See where it stands: feature_status(feature="{id}")'
            raise IllegalMove(f"Feature {id}", feature.state, "resumed", cure)
        agreed = any(event.data.get("to") == "IMPLEMENTATION" for event in self._store.events(id))
        return await self.submit(await run_sync(lambda: _rest(feature, is_agreed=agreed)))

    async def context(self, task: str, max_tokens: int) -> Context:
        """What is known that bears on a task."""
        return await gathered(self._actions, task, max_tokens)

    def _waits(self, task: str, text: str) -> None:
        """Have it written down that an agent of a task needs somebody."""
        id, _, name = task.partition(".")
        key = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._store.append(id, f"{name}/waits/{key}", "waits", {"text": text}, task=name)


def _checked(request: Request) -> Request:
    """A request that can be begun: the repository by its folder, the branches by their names."""
    if not request.text.strip():
        raise InvalidArgument("request", "is empty", "Say what is wanted.")
    repository = Repository(request.repository)
    target = request.target or repository.git("branch", "--show-current")
    if not target:
        raise InvalidArgument(
            "branch", "is missing, and none is checked out", "Name the branch to merge into."
        )
    repository.begun(target)
    repository.begun(request.base or target)
    whole = request.model_copy(update={"repository": str(repository.top), "target": target})
    tasks = request.plan.tasks if request.plan else []
    try:
        policy = gates.Policy.model_validate(request.policy)
        for task in tasks:
            policy_of(request, task, whole=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument("policy", f"{where}: {first['msg']}", "See docs/features.md.") from error
    if request.plan:
        try:
            planning.sound(request.plan, policy)
        except planning.Unusable as error:
            raise InvalidArgument("tasks", str(error).rstrip("."), "Mend the plan.") from error
        ids = [task.id for task in tasks]
        if unknown := [name for name in request.policies if name not in ids]:
            raise UnknownName("task", unknown[0], ids)
    return whole


def _rest(feature: Feature, *, is_agreed: bool) -> Request:
    """What is left to do of a feature, which has a branch of its own by now or not."""
    request, branch = feature.request, f"feature/{feature.id}"
    if not Repository(request.repository).head(branch):
        done, base = request.done, request.base
    else:
        done, base = [name for name, task in feature.tasks.items() if task.state == "merged"], branch
    prps = [task.prp for task in feature.tasks.values()]
    plan = feature.plan.model_copy(update={"tasks": prps}) if feature.plan and is_agreed else None
    approvals = [about for about in request.approvals if about != "plan" or not is_agreed]
    changes = {"base": base, "done": done, "plan": plan or request.plan, "approvals": approvals}
    return request.model_copy(update=changes)
