"""What the gates said of a commit."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

OUTPUT = 16_000
"""Characters that are kept of a gate's output."""


class Gate(BaseModel):
    """One gate. Levels: 0 paths, 1 lint, types, 2 tests, held-out cases, 3 integration, 4 deployment."""

    model_config = ConfigDict(frozen=True)

    level: int
    name: str
    green: bool
    seconds: float
    output: str = ""
    why: str = ""
    """What is wrong, as a sentence; empty where it is green."""


class Verdict(BaseModel):
    """All that were asked; those after a red level were not."""

    model_config = ConfigDict(frozen=True)

    commit: str
    """What was judged: the worktree's HEAD. What is not committed was not looked at."""
    green: bool
    """Whether the work may be merged."""
    gates: list[Gate]

    @classmethod
    def of(cls, commit: str, gates: list[Gate]) -> Verdict:
        """Green where each of them is."""
        return cls(commit=commit, green=all(gate.green for gate in gates), gates=gates)

    def feedback(self) -> str:
        """What is told to the coder: each red gate, why, and its output. Empty where all are green."""
        return "\n\n".join(
            f"{gate.name} is red: {gate.why}\n{gate.output}".rstrip() for gate in self.gates if not gate.green
        )
