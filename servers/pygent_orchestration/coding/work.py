"""A coding task as it is given, and what became of it: plain data across the borders of workflows."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

CODING = "coding-task"
"""What its workflow is called."""

Class = Literal[
    "model_limit", "timeout", "gate_red", "review", "conflict", "stuck", "tool_error", "crash", "refused"
]
"""What a failure is: each has its policy, see `recovery.py`."""

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class Work(BaseModel):
    """A task: who does it, where, and what it is measured by.

    Args:
        task: its id, which no other task of the repository has.
        prp: all that the coder is told, as Markdown.
        repository: the folder of a git repository.
        base: the branch that the integration branch begins from where there is none yet.
        branch: the integration branch, such as "feature/ID", that the task begins from and is merged into.
        policy: of the gates, as `gates.Policy` has it.
        coder: the deployed agent that writes.
        reviewer: the deployed agent that reviews, another than the coder; "": nobody does.
        attempts: how often the coder may try, at most.
        seconds: that a run of an agent may take.
    """

    task: Id
    prp: str
    repository: str
    base: str
    branch: str
    policy: dict[str, Any] = {}
    coder: str
    reviewer: str = ""
    attempts: int = Field(default=3, ge=1, le=20)
    seconds: float = Field(default=3600.0, gt=0)

    @model_validator(mode="after")
    def _is_reviewed_by_another(self) -> Self:
        if self.reviewer == self.coder:
            raise ValueError("the reviewer is the coder: name another agent, or none")
        return self


class Failure(BaseModel):
    """Why something did not succeed."""

    model_config = ConfigDict(serialize_by_alias=True)

    kind: Class = Field(validation_alias=AliasChoices("class", "kind"), serialization_alias="class")
    why: str


class Attempt(BaseModel):
    """What came of one try: its commit, what the gates said, what the reviewer said."""

    commit: str = ""
    run: str = ""
    usage: dict[str, Any] = {}
    verdict: dict[str, Any] | None = None
    review: dict[str, Any] | None = None
    failure: Failure | None = None


class Done(BaseModel):
    """What became of a task: `commit` is the integration branch's that has it."""

    state: Literal["green", "failed"]
    branch: str
    commit: str = ""
    attempts: list[Attempt] = []
    failure: Failure | None = None
    notes: list[str] = []
    """What was not done that should have been."""
