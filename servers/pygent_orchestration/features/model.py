"""What a feature is: what was asked for, the plan, its tasks with a PRP each, and where all that stands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FeatureState = Literal["PLANNING", "IMPLEMENTATION", "REVIEW", "DEPLOYMENT", "COMPLETED", "FAILED"]
TaskState = Literal["waiting", "running", "merged", "failed", "cancelled", "skipped"]
Gate = Literal["plan", "deployment"]
"""What a person may be asked about."""
Verdict = Literal["approve", "change", "reject"]

TASK = r"^[a-z][a-z0-9_-]{0,62}$"
"""What a task's id may be: a part of a branch's name, and of a file's."""


def _tidy(text: str) -> str:
    """A text as it is kept: lines end with a line feed, and nothing but its own words begins or ends it."""
    return "\n".join(text.splitlines()).strip()


def _some(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


def _told(texts: list[str]) -> list[str]:
    return [text for text in texts if text]


TaskId = Annotated[str, Field(pattern=TASK)]
Text = Annotated[str, AfterValidator(_tidy)]
Told = Annotated[Text, AfterValidator(_some)]
Texts = Annotated[list[Text], AfterValidator(_told)]


class Prp(BaseModel):
    """A task, with all that whoever does it must know: a product requirement prompt."""

    model_config = ConfigDict(extra="forbid")

    id: TaskId = Field(description="A short name of its own: letters a-z, digits, - and _.")
    goal: Told = Field(description="What there is when it is done.")
    justification: Text = Field(default="", description="Why it is wanted.")
    context: Text = Field(default="", description="What one must know: files, names, patterns, gotchas.")
    implementation_steps: Texts = Field(default=[], description="What to do, in order.")
    validation_criteria: Texts = Field(default=[], description="What must hold, each fit to be checked.")
    success_metrics: Texts = Field(default=[], description="By what it is seen that it was worth it.")
    failure_recovery: Texts = Field(default=[], description="What to do when something of it fails.")
    references: Texts = Field(default=[], description="Files, documents, addresses.")
    paths: Texts = Field(default=[], description="Globs of the files it may change.")
    depends_on: list[TaskId] = Field(default=[], description="Ids of the tasks that must be done first.")
    hours: float = Field(default=1.0, gt=0, le=1000, allow_inf_nan=False, description="What it may take.")
    capabilities: Texts = Field(default=[], description="What the agent that does it must be able to.")


class Plan(BaseModel):
    """How a feature is done."""

    model_config = ConfigDict(extra="forbid")

    summary: Text = Field(default="", description="The feature in two sentences.")
    requirements: Texts = Field(default=[], description="What it must do, each fit to be checked.")
    tasks: list[Prp] = Field(min_length=1, description="In any order; depends_on says which waits for which.")


class Request(BaseModel):
    """What was asked for."""

    text: str
    repository: str = Field(description="A git repository on this machine.")
    target: str = Field(default="", description="The branch it is merged into.")
    base: str = Field(default="", description="The branch that the work begins from; empty: the target.")
    policy: dict[str, Any] = Field(default={}, description="What the gates hold the whole to.")
    policies: dict[str, dict[str, Any]] = Field(
        default={}, description="By task: what of the policy is otherwise for it."
    )
    health: list[str] = Field(default=[], description="A command that must pass once it is merged.")
    planner: str = "planner"
    coder: str = Field(
        default="coder", description="Empty: for each task whoever can do it and has least in hand."
    )
    reviewer: str = "reviewer"
    approvals: list[Gate] = ["plan", "deployment"]
    attempts: int = 3
    at_once: int = 2
    plan: Plan | None = Field(default=None, description="One's own; no planner is asked then.")
    done: list[TaskId] = Field(default=[], description="Tasks of it that the base has.")

    @property
    def start(self) -> str:
        """The branch that the work begins from."""
        return self.base or self.target


class Task(BaseModel):
    """A task as it stands. `coder` is the agent that it is given to, `result` what its workflow gave, `waits`
    what its agent needs somebody for."""

    prp: Prp
    state: TaskState = "waiting"
    coder: str = ""
    waits: str = ""
    result: dict[str, Any] = {}


class Question(BaseModel):
    """What a feature asks its people."""

    about: Gate
    number: int
    text: str


class Feature(BaseModel):
    """A feature as it stands: what its events say, and nothing else.

    Args:
        context: what was known that bears on it when it was planned.
        waits: what its planner needs somebody for.
        deployed: what came of merging it.
    """

    id: str
    state: FeatureState = "PLANNING"
    request: Request
    context: str = ""
    plan: Plan | None = None
    tasks: dict[str, Task] = {}
    question: Question | None = None
    waits: str = ""
    deployed: dict[str, Any] = {}
    error: str = ""
    began_at: str
    changed_at: str
    actor: str = ""
