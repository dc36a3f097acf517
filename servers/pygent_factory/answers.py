"""What the tools answer: the shapes a program reads, and the short text a model reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from pygent_factory.runs import Need, Question, Run
from pygent_factory.spec import Spec
from pygent_factory.store import Agent, Event

CONTINUE = """\
This run needs a language model, and this host lends none by itself: you are it. Answer the messages below \
as their system prompt says, then call continue_run(run="{run}", reply=…) with it. It may ask again."""


ASKED = """\
Run {run} asks its user: {question}

Ask them, and call continue_run(run="{run}", reply=…) with what they say."""

ELICITS = """\
Run {run} waits for its user: {question}

Only they can answer, in a host that asks its user (elicitation); until then it waits."""


class TypeRow(BaseModel):
    type: str
    description: str
    capabilities: list[str]
    strategy: str
    tools: list[str]


class TypesAnswer(BaseModel):
    types: list[TypeRow]
    problems: list[str] = Field(default=[], description="Files of agents that cannot be used, and why.")

    @classmethod
    def of(cls, types: Mapping[str, Spec], problems: Sequence[str]) -> TypesAnswer:
        return cls(
            problems=list(problems),
            types=[
                TypeRow(
                    type=name,
                    description=spec.description,
                    capabilities=list(spec.capabilities),
                    strategy=spec.strategy,
                    tools=list(spec.tools),
                )
                for name, spec in types.items()
            ],
        )

    def text(self) -> str:
        return "\n".join([*(f"{row.type}: {row.description}" for row in self.types), *self.problems])


class AgentRow(BaseModel):
    name: str
    type: str
    state: str
    version: int
    description: str
    model: str
    capabilities: list[str]

    @classmethod
    def of(cls, agent: Agent) -> AgentRow:
        return cls(
            name=agent.name,
            type=agent.spec.type,
            state=agent.state,
            version=agent.version,
            description=agent.spec.description,
            model=", ".join(agent.spec.models),
            capabilities=list(agent.spec.capabilities),
        )

    def line(self) -> str:
        return f"{self.name} ({self.type}, {self.state}, version {self.version}): {self.description}"


class AgentsAnswer(BaseModel):
    agents: list[AgentRow]
    problems: list[str] = Field(default=[], description="Files of agents that cannot be used, and why.")

    def text(self) -> str:
        rows = [row.line() for row in self.agents] or ["There are none. Make one: create_agent(name, type)."]
        return "\n".join([*rows, *self.problems])


class EventRow(BaseModel):
    at: str
    move: str
    before: str
    after: str
    version: int

    @classmethod
    def of(cls, event: Event) -> EventRow:
        return cls(
            at=event.at, move=event.move, before=event.before, after=event.after, version=event.version
        )


class AgentAnswer(BaseModel):
    """An agent whole: its newest version, and what was done to it."""

    agent: AgentRow
    spec: dict[str, Any]
    events: list[EventRow]
    source: str = Field(default="", description="The file it is of; empty: made by create_agent.")
    next: str = Field(default="", description="What can be done with it now.")

    @classmethod
    def of(cls, agent: Agent, events: Sequence[Event], source: str, is_said: bool) -> AgentAnswer:
        if source and not is_said:
            source += " (which says nothing of it now; the agent stays as it was)"
        return cls(
            source=source,
            agent=AgentRow.of(agent),
            spec=agent.spec.model_dump(mode="json"),
            events=[EventRow.of(event) for event in events],
            next=_NEXT[agent.state].format(name=agent.name),
        )

    def text(self) -> str:
        spec = json.dumps({key: value for key, value in self.spec.items() if key != "instructions"})
        source = f"Of the file {self.source}." if self.source else ""
        lines = [
            self.agent.line(),
            source,
            spec,
            f"Instructions:\n{self.spec['instructions'].strip()}",
            self.next,
        ]
        return "\n\n".join(filter(None, lines))


_NEXT = {
    "draft": 'It has no instructions yet. Next: configure_agent(name="{name}", instructions=…).',
    "configured": 'Next: deploy_agent(name="{name}"); then run_agent(name="{name}", task=…).',
    "deployed": 'Next: run_agent(name="{name}", task=…).',
    "paused": 'It takes no runs until deploy_agent(name="{name}").',
    "retired": "",
}


class RunAnswer(BaseModel):
    """A run as it stands."""

    run: str
    agent: str
    version: int
    state: Literal["waiting", "running", "needs_completion", "needs_input", "done", "failed", "cancelled"]
    answer: Any = None
    error: str = ""
    scripted: bool = Field(default=False, description="The replies came from a file, and from no model.")
    system: str = Field(default="", description="needs_completion: the system prompt to answer under.")
    messages: list[dict[str, str]] = Field(default=[], description="needs_completion: what to answer.")
    question: str = Field(default="", description="needs_input: what it asks its user.")
    elicitation: dict[str, Any] = Field(
        default={}, description="needs_input: what a tool asks, as MCP has it; only the user can answer it."
    )
    asked: int = Field(default=0, description="Which of its questions or needs this is, from 0 on.")
    declined: bool = Field(default=False, description="It failed because the agent refused the task.")
    said: list[dict[str, Any]] = Field(
        default=[], description="What it told, gave and asked its user, from `seen` on."
    )
    unsupported: list[str] = Field(default=[], description="Citations that nothing it found bears out.")
    usage: dict[str, int] = {}
    usd: float | None = Field(default=None, description="What it cost, where that is known.")
    model: str = Field(default="", description="The model that it used last.")
    model_notes: list[str] = Field(
        default=[], description="Why that model: how it was chosen, and which gave no answer."
    )
    tools: list[dict[str, Any]] = Field(default=[], description="The tool calls it made.")
    memory: str = Field(default="", description="Why what it learned is not kept for later runs.")
    workspace: dict[str, Any] = Field(
        default={}, description="Where its work on code lies: repository, branch, commit, changes."
    )

    @classmethod
    def of(
        cls,
        run: Run,
        *,
        models: Sequence[str],
        need: Need | Question | None = None,
        said: Sequence[dict[str, Any]] = (),
    ) -> RunAnswer:
        trace = run.trace or {}
        used = trace.get("model", {}).get("used", list(models[:1]))
        question, need = (need, None) if isinstance(need, Question) else (None, need)
        return cls(
            run=run.id,
            agent=run.agent,
            version=run.version,
            state="needs_completion" if need else "needs_input" if question else run.state,
            answer=run.answer,
            error=run.error,
            scripted=any(model.startswith("scripted:") for model in used),
            system=need.request["system"] if need else "",
            messages=need.request["messages"] if need else [],
            question=question.text if question else "",
            elicitation=dict(question.elicitation or {}) if question else {},
            asked=need.number if need else question.number if question else 0,
            declined=run.declined,
            said=list(said),
            unsupported=trace.get("unsupported", []),
            usage=trace.get("usage", {}),
            usd=trace.get("usd"),
            model=used[-1] if run.trace or len(models) == 1 else "",
            model_notes=_notes(trace.get("model", {})),
            tools=trace.get("tools", []),
            memory=trace.get("notes", {}).get("memory", ""),
            workspace=trace.get("workspace") or run.workspace or {},
        )

    def text(self) -> str:
        if self.state == "needs_completion":
            said = "\n\n".join(f"[{message['role']}]\n{message['text']}" for message in self.messages)
            return f"{CONTINUE.format(run=self.run)}\n\n[system]\n{self.system}\n\n{said}"
        if self.elicitation:
            return ELICITS.format(run=self.run, question=self.question)
        if self.state == "needs_input":
            return ASKED.format(run=self.run, question=self.question)
        if self.state == "done":
            answer = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
            source = " (scripted replies, no model)" if self.scripted else ""
            if self.unsupported:
                answer += f"\n\nNot borne out by what it found: {', '.join(self.unsupported)}."
            run = f"Run {self.run} of {self.agent}, version {self.version}{source}."
            return "\n\n".join(
                filter(None, (answer, self._work(), " ".join([run, *self.model_notes, self.memory]).strip()))
            )
        if self.state in ("failed", "cancelled"):
            done = "was cancelled" if self.state == "cancelled" else "failed"
            told = f"Run {self.run} of {self.agent} {done}{f': {self.error}' if self.error else '.'}"
            return "\n\n".join(filter(None, (told, self._work())))
        return f'Run {self.run} of {self.agent} goes on. Look again: get_run(run="{self.run}", wait_s=50).'

    def _work(self) -> str:
        """What it did to a repository, and where that is."""
        if not self.workspace:
            return ""
        where = "Branch {branch} of {repository}:".format_map(self.workspace)
        parts = (where, self.workspace.get("changes") or "no changes", self.workspace.get("error"))
        return "\n".join(filter(None, (*parts, self.workspace["note"])))


def _notes(model: Mapping[str, Any]) -> list[str]:
    """How the model of a run was chosen, a sentence each; nothing where there was no choice."""
    if not model.get("why"):
        return []
    notes = [f"Its model is {model['why']}."]
    if passed := model["passed"]:
        notes.append(f"Passed over: {'; '.join('{model} {why}'.format_map(item) for item in passed)}.")
    for item, after in zip(model["failed"], model["used"][1:], strict=True):
        notes.append(f"{item['model']} gave no answer ({item['why']}), and {after} went on.")
    return notes


class RunRow(BaseModel):
    run: str
    agent: str
    version: int
    state: str
    task: str
    started_at: str


class RunsAnswer(BaseModel):
    runs: list[RunRow]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> RunsAnswer:
        return cls(
            runs=[
                RunRow(
                    run=run.id,
                    agent=run.agent,
                    version=run.version,
                    state=run.state,
                    task=run.task[:200],
                    started_at=run.started_at,
                )
                for run in runs
            ]
        )

    def text(self) -> str:
        rows = [f"{row.run} {row.agent} {row.state} {row.started_at}: {row.task}" for row in self.runs]
        return "\n".join(rows) or "There are none yet. Begin one: run_agent(name, task)."
