"""Runs of agents: each a durable workflow that is pinned to the version it began with.

What is known of a run while it goes on is in the engine; here stands that there is one, and whose it is. The
one rule: a run has the rights of whoever began it, and is there for them and the machine's own user alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import uuid4

import anyio

from pygent_factory import means
from pygent_factory.budgets import Spent, exhausted, limits
from pygent_factory.capabilities import fit
from pygent_factory.lifecycle import RUNS
from pygent_factory.literature.access import Access
from pygent_factory.literature.offer import WithLiterature
from pygent_factory.store import AgentStore
from pygent_factory.user import reply, said
from pygent_factory.work import Work
from pygent_factory.workspace.tools import works_in_one
from pygent_factory.workspace.workspaces import Workspaces, made
from pygent_shared.caller import OWNER, acting_for, caller, rights
from pygent_shared.database import Database
from pygent_shared.durable.engine import Engine, pause
from pygent_shared.durable.status import State
from pygent_shared.errors import IllegalMove, InvalidArgument, NotAllowed, UnknownName
from pygent_shared.models.table import Table
from pygent_shared.peers import Peers

if TYPE_CHECKING:
    pass

WORKFLOW = "run"

TAKEN_SECONDS = 10.0
"""How long a run may take to wake up with an answer before one goes on without seeing it."""

RunState = State | Literal["needs_completion"]
"""`needs_completion`: it goes on when whoever runs it has answered as its model."""
SETTLE_SECONDS = 10.0
"""How long a run in a workspace is waited for that was cancelled, as it ends the step that it is at."""
LOOK_SECONDS = 0.25
"""How often a run that is at work in this process is looked at in the store: another may have stopped it."""
GOING: tuple[RunState, ...] = ("waiting", "running", "needs_completion")

Report = Callable[[Sequence[str]], Awaitable[None]]
"""Is told, now and then, all that a run has been at."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a run needs the host's model for: `number` counts them, `request` is a
    prompt as `models.replies` has it."""

    run: str
    number: int
    request: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Turns:
    """To whom runs may turn while they are at work: of the others nothing is looked for."""

    to_host: bool
    to_user: bool


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a run asks its user: one of what it `said`, under that number; with what a tool of it asks, as MCP
    has it (elicitation), where that is what it asks.
    """

    run: str
    number: int
    text: str
    elicitation: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as it stands. `answer`, `trace` and `error` come with its end; `seconds` are those until its last
    change; `workspace` is where the work of one that was cancelled lies. `declined`: the agent refused.
    """

    id: str
    agent: str
    version: int
    task: str
    state: RunState
    answer: Any = None
    error: str = ""
    declined: bool = False
    trace: dict[str, Any] | None = None
    workspace: dict[str, Any] | None = None
    started_at: str
    seconds: float


class Runs:
    """Begins runs and follows them.

    Args:
        database: with the tables of `store.MIGRATIONS`.
        agents: in the same database.
        peers: whose tools agents use; None where this server stands alone.
        access: how they look papers up.
        engine: carries the runs out, once it is needed.
        workspaces: where agents work on a repository.
        models: a file of models to choose from, before those that are shipped; "" is none.
    """

    def __init__(
        self,
        database: Database,
        agents: AgentStore,
        peers: Peers | None,
        access: Access,
        engine: Engine,
        workspaces: Workspaces,
        models: str = "",
    ) -> None:
        self._database = database
        self._agents = agents
        self._engine = engine
        self._workspaces = workspaces
        self._models = models
        self._over: set[str] = set()
        self._turns: dict[tuple[str, int], Turns] = {}
        self._ended: dict[str, Spent] = {}
        self._work = Work(peers, WithLiterature(peers, access), workspaces, models, self._before)
        engine.workflow(WORKFLOW, self._work.run)

    async def begin(
        self,
        name: str,
        task: str,
        *,
        conversation: str = "",
        workspace: str = "",
        branch: str = "",
        capabilities: Sequence[str] = (),
        id: str = "",
        asks: bool = False,
    ) -> str:
        """Start a run of an agent's newest version, with all that was said in its conversation before, in a
        worktree of the repository `workspace` where it works on code. Returns its id; begun with the same id
        again, it is the same run. `asks`: what its tools ask can be put to its user.

        Raises:
            FileRefused, SandboxMissing: it cannot work in that workspace.
            UnknownName, IllegalMove: there is no such agent, or it takes no runs.
            InvalidArgument: the task is empty or asks for what the agent lacks, no model is usable, a tool
                pattern matches nothing, or the id is another's.
            NotAllowed: it works on code, and the caller is not the machine's own user.
            BudgetSpent: its runs have spent what they may.
            FileRefused, ConfigInvalid: the file of models is none.
        """
        if id and self._has_begun(id, name):
            return id
        if not task.strip():
            raise InvalidArgument("task", "is empty", "Say what the agent is to do.")
        agent = self._agents.get(name)
        if agent.state not in RUNS:
            cure = f'Deploy it first: deploy_agent(name="{name}")'
            raise IllegalMove(f'Agent "{name}"', agent.state, "run", cure)
        fit(agent, capabilities, self._agents.all())
        own = works_in_one(agent.spec.tools) or bool(workspace)
        if own and caller() != OWNER:
            why = "open repositories of this machine, and you are not its own user"
            raise NotAllowed("Agents that work on code", why, "Use the endpoint's own token, or stdio.")
        with acting_for(rights()):
            tools = await self._work.tools(agent.spec, own=own)
        asked = await self._workspaces.asked(tools, workspace, branch)
        history = await self._said(name, conversation) if conversation else []
        allowed = limits("allowance", agent.spec.allowance)
        if allowed and (limit := exhausted(allowed, await self._spent(name))):
            raise limit.spent()
        means.usable(agent.spec, means.needed(agent.spec, tools, task, history), Table(self._models))
        run = id or f"r{uuid4().hex[:12]}"
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO run (id, agent, version, task, conversation, started_at, caller) "
                "SELECT ?, id, ?, ?, ?, ?, ? FROM agent WHERE name = ?",
                (run, agent.version, task, conversation, _now(), caller(), name),
            )
        spec = agent.spec.model_dump(mode="json", exclude_unset=True)
        spec["memory_space"] = agent.spec.memory_space or name
        with self._work.beginning(run):
            await self._engine.start(WORKFLOW, spec, task, history, asked, rights(), asks, id=run)
        return run

    async def follow(
        self,
        run: str,
        number: int,
        within: float,
        report: Report | None = None,
        *,
        seen: int | None = None,
    ) -> Run | Need | Question:
        """Wait until a run has ended, asks its user, or needs the host's model for the `number`th time; after
        so many seconds, the run as it stands; with `seen`, as soon as it has said more than so often. What a
        run of this process is at is reported meanwhile.

        Raises:
            UnknownName: there is no such run.
        """
        from pygent_shared.models.host import need

        until = time.monotonic() + within
        heard, question = 0, None
        if self._here(run) == 0:  # it has only begun, or said nothing yet: there is nothing to look at
            await self._moved(run, 0, until, report)
        while True:
            here = self._here(run)
            found = await self.get(run)
            if found.state not in GOING:
                return found
            if report and (at := self._work.at.get(run)):
                await report(at.texts)
            waits = found.state == "needs_completion"
            if waits and (asked := await self._engine.seen(run, need(number), 0)) is not None:
                return Need(run=run, number=number, request=asked)
            for what in await self.said(run, heard):
                heard += 1
                is_asked = what["kind"] == "question"
                question = _question(run, heard - 1, what) if is_asked else None
            if question is not None:
                return question
            if seen is not None and heard > seen:
                return found
            if time.monotonic() > until:
                return found
            await self._moved(run, here, until, report)

    async def _moved(self, run: str, here: int, until: float, report: Report | None) -> None:
        """Wait until there may be something new of a run: of one that is at work in this process, until it
        speaks or ends, or a while has gone by."""
        began = time.monotonic()
        while (now := time.monotonic()) < min(until, began + LOOK_SECONDS):
            await anyio.sleep(pause((now - began) / 4))
            if report and (at := self._work.at.get(run)):
                await report(at.texts)
            if here < 0 or self._here(run) != here:
                return

    def _here(self, run: str) -> int:
        """How often a run has spoken that is at work in this process; -1: it is not."""
        return self._work.at[run].spoken if run in self._work.at else -1

    def answered(self, run: str) -> int:
        """How often a run was given what the host's model said: the number of the next time."""
        rows = self._database.query("SELECT answers FROM run WHERE id = ?", (run,))
        return cast(int, rows[0][0]) if rows else 0

    async def answer(self, run: str, number: int, reply: Any, model: str) -> None:
        """Give a run what the host's model said; the same number twice counts once.

        Raises:
            UnknownName: there is no such run.
        """
        from pygent_shared.models.host import answer

        self._row(run)
        said = {"reply": reply, "model": model}
        await self._engine.signal(run, answer(number), said, key=f"{run}:{number}")
        with self._database.write() as connection:
            connection.execute(
                "UPDATE run SET answers = max(answers, ?) WHERE id = ?", (number + 1, run)
            ).fetchall()

    async def said(self, run: str, after: int = 0) -> list[dict[str, Any]]:
        """What a run said to its user, from that number on."""
        _, agent, version, *_ = self._row(run)
        found: list[dict[str, Any]] = []
        if not self._turns_of(agent, version).to_user:
            return found
        while (what := await self._engine.seen(run, said(after + len(found)), 0)) is not None:
            found.append(what)
        return found

    async def reply(self, question: Question, text: str) -> None:
        """Give a run the answer to its question, and see that it was taken.

        Raises:
            NotAllowed: a tool asks that, and only the user may answer it.
        """
        if question.elicitation is not None:
            why = "is its user's to answer, and nobody else's"
            cure = "Look at the run (get_run) in a host that can ask its user."
            raise NotAllowed(f'What run "{question.run}" asks', why, cure)
        await self._reply(question, text)

    async def elicited(self, run: str, number: int, answer: Mapping[str, Any]) -> None:
        """Give a run what its user answered to the question of that number, which a tool of it asks.

        Raises:
            UnknownName, InvalidArgument: there is no such run, or it asks no such thing.
        """
        found = await self.follow(run, self.answered(run), 0)
        if not isinstance(found, Question) or found.number != number or found.elicitation is None:
            raise InvalidArgument("requestState", "is of a question that is asked no more", "Look: get_run.")
        await self._reply(found, dict(answer))

    async def _reply(self, question: Question, text: str | dict[str, Any]) -> None:
        key = f"{question.run}:reply:{question.number}"
        await self._engine.signal(question.run, reply(question.number), text, key=key)
        await self._engine.seen(question.run, said(question.number + 1), TAKEN_SECONDS)

    async def get(self, run: str) -> Run:
        """A run as it stands, with what it left in a workspace if it was cancelled.

        Raises:
            UnknownName: there is none.
        """
        found = await self._stands(self._row(run))
        if found.state != "cancelled":
            return found
        worktree = made(await self._engine.steps(run))
        return replace(found, workspace=await self._workspaces.left(worktree)) if worktree else found

    async def all(self, agent: str = "", limit: int = 50) -> list[Run]:
        """The newest runs, of one agent or of all."""
        rows = self._database.query(
            f"{_RUNS} WHERE {_MINE} AND (?2 = '' OR a.name = ?2) "
            "ORDER BY r.started_at DESC, r.rowid DESC LIMIT ?3",
            (caller(), agent, limit),
        )
        return [await self._stands(row) for row in rows]

    async def cancel(self, run: str) -> Run:
        """Stop a run, and the step that it is at. What it did in a workspace is committed once that has
        ended, which is waited for a while.
        """
        found = await self.get(run)
        await self._engine.cancel(run)
        if worktree := made(await self._engine.steps(run)):
            if found.state == "needs_completion" or await self._asks(run):
                await self._workspaces.stopped(run, worktree, found.task)
            else:
                with anyio.move_on_after(SETTLE_SECONDS):
                    while run in self._work.at:
                        await anyio.sleep(pause(1))
        return await self.get(run)

    async def _asks(self, run: str) -> bool:
        """Whether a run waits for its user's answer."""
        return any(what["kind"] == "question" for what in (await self.said(run))[-1:])

    async def resume(self, run: str) -> None:
        """Go on with a run that was cancelled, after the last step that was done.

        Raises:
            UnknownName, IllegalMove: there is no such run, or it was not cancelled.
        """
        found = await self.get(run)
        if found.state != "cancelled":
            cure = f'Look at it: get_run(run="{run}")'
            raise IllegalMove(f'Run "{run}"', found.state, "resumed", cure)
        with self._database.write() as connection:
            connection.execute("UPDATE run SET ended = 0 WHERE id = ?", (run,)).fetchall()
        self._ended.pop(run, None)
        self._over.discard(run)
        await self._engine.resume(run)

    def unfinished(self) -> bool:
        """Whether there is a run whose end nobody has seen: it may have to go on."""
        return bool(self._database.query("SELECT 1 FROM run WHERE ended = 0 LIMIT 1"))

    async def _said(self, agent: str, conversation: str) -> list[Any]:
        """The messages of a conversation so far.

        Raises:
            InvalidArgument: its last run has not ended.
        """
        rows = self._database.query(
            f"{_RUNS} WHERE r.caller = ? AND a.name = ? AND r.conversation = ? ORDER BY r.rowid",
            (caller(), agent, conversation),
        )
        runs = [await self._stands(row) for row in rows]
        if runs and runs[-1].state in GOING:
            cure = f'Go on with it: get_run(run="{runs[-1].id}").'
            raise InvalidArgument("conversation", "waits for the answer to what was said before", cure)
        return [message for run in runs if run.trace for message in run.trace["messages"]]

    def _turns_of(self, agent: str, version: int) -> Turns:
        """To whom the runs of a version may turn."""
        if (agent, version) not in self._turns:
            spec = self._agents.version(agent, version)
            to_host = any(model in ("host", "auto") for model in spec.models)
            self._turns[agent, version] = Turns(to_host=to_host, to_user=bool(spec.tools))
        return self._turns[agent, version]

    async def _stands(self, row: Sequence[Any]) -> Run:
        id, agent, version, task, started_at = cast("tuple[str, str, int, str, str]", row)
        from pygent_shared.models.host import need

        status = await self._engine.status(id)
        state: RunState = status.state
        if state not in GOING:
            self._note_end(id)
        elif self._turns_of(agent, version).to_host and await self._engine.seen(
            id, need(self.answered(id)), 0
        ):
            state = "needs_completion"
        result = status.result or {}
        return Run(
            id=id,
            agent=agent,
            version=version,
            task=task,
            state="failed" if result.get("error") else state,
            answer=result.get("answer"),
            error=result.get("error") or status.error,
            declined=bool(result.get("declined")),
            trace=result.get("trace"),
            started_at=started_at,
            seconds=(status.changed - status.started).total_seconds(),
        )

    def _has_begun(self, id: str, name: str) -> bool:
        """Whether there is a run of the caller, of this agent, with this id.

        Raises:
            InvalidArgument: it is another agent's, or another caller's.
        """
        rows = self._database.query(
            "SELECT a.name, r.caller FROM run AS r JOIN agent AS a ON a.id = r.agent WHERE r.id = ?", (id,)
        )
        if rows and rows[0] != (name, caller()):
            raise InvalidArgument("id", "is that of another run", "Take another, or none.")
        return bool(rows)

    def _note_end(self, run: str) -> None:
        if run not in self._over:
            with self._database.write(durable=False) as connection:  # it could be seen again
                connection.execute("UPDATE run SET ended = 1 WHERE id = ? AND ended = 0", (run,))
            self._over.add(run)

    def _row(self, run: str) -> Sequence[Any]:
        """What is kept of a run of the caller. Raises UnknownName: it has none of this id."""
        rows = self._database.query(f"{_RUNS} WHERE {_MINE} AND r.id = ?2", (caller(), run))
        if not rows:
            recent = f"SELECT id FROM run AS r WHERE {_MINE} ORDER BY rowid DESC LIMIT 50"
            known = [str(id) for (id,) in self._database.query(recent, (caller(),))]
            raise UnknownName("run", run, known, "See them: list_runs()")
        return rows[0]

    async def _spent(self, agent: str, *, but: str = "") -> Spent:
        """What all runs of an agent have spent so far; one of them may be left out."""
        spent, prices = Spent(), Table(self._models)
        for row in self._database.query(f"{_RUNS} WHERE a.name = ? AND r.id <> ?", (agent, but)):
            id = str(row[0])
            if (one := self._ended.get(id)) is None:
                run = await self._stands(row)
                if run.trace:
                    one = Spent.traced(run.trace, run.seconds)
                else:
                    one = Spent.stepped(await self._engine.steps(id), prices, run.seconds)
                if run.state not in GOING:
                    self._ended[id] = one
            spent.add(one)
        return spent

    async def _before(self, run: str) -> Spent:
        """What the other runs of its agent have spent when a run begins."""
        ((agent,),) = self._database.query(
            "SELECT a.name FROM run AS r JOIN agent AS a ON a.id = r.agent WHERE r.id = ?", (run,)
        )
        return await self._spent(str(agent), but=run)


_RUNS = """
    SELECT r.id, a.name, r.version, r.task, r.started_at FROM run AS r JOIN agent AS a ON a.id = r.agent
"""


_MINE = "(?1 = '' OR r.caller = ?1)"
"""Of the caller ?1; the machine's own user sees all."""


def _question(run: str, number: int, what: Mapping[str, Any]) -> Question:
    return Question(run=run, number=number, text=what["text"], elicitation=what.get("elicitation"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
