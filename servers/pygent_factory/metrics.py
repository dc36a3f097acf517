"""How an agent's runs went, by the version they ran."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pydantic import BaseModel, Field

from pygent_factory.runs import Run


class VersionMetrics(BaseModel):
    """Of the runs of one version; those that go on count in `runs` only."""

    version: int
    runs: int
    done: int
    failed: int
    cancelled: int
    median_seconds: float = Field(description="From the start to the end, waiting for the host included.")
    requests: int = Field(description="Calls of the model, of all runs together.")
    input_tokens: int
    output_tokens: int
    tool_calls: int
    usd: float | None = Field(default=None, description="What they cost; null where a price is not known.")

    @classmethod
    def of(cls, version: int, runs: Sequence[Run]) -> VersionMetrics:
        ended = [run for run in runs if run.state in ("done", "failed", "cancelled")]
        states = [run.state for run in ended]
        spent = [run.trace["usage"] for run in ended if run.trace]
        costs = [run.trace.get("usd") for run in ended if run.trace]
        return cls(
            version=version,
            runs=len(runs),
            done=states.count("done"),
            failed=states.count("failed"),
            cancelled=states.count("cancelled"),
            median_seconds=round(median(run.seconds for run in ended), 3) if ended else 0.0,
            requests=sum(usage["requests"] for usage in spent),
            input_tokens=sum(usage["input_tokens"] for usage in spent),
            output_tokens=sum(usage["output_tokens"] for usage in spent),
            tool_calls=sum(usage["tool_calls"] for usage in spent),
            usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        )


class MetricsAnswer(BaseModel):
    agent: str
    versions: list[VersionMetrics] = Field(description="The newest first.")

    @classmethod
    def of(cls, agent: str, runs: Sequence[Run]) -> MetricsAnswer:
        numbers = sorted({run.version for run in runs}, reverse=True)
        return cls(
            agent=agent,
            versions=[
                VersionMetrics.of(number, [run for run in runs if run.version == number])
                for number in numbers
            ],
        )

    def text(self) -> str:
        return "\n".join(map(_line, self.versions)) or f"Agent {self.agent} has no runs yet."


def _line(of: VersionMetrics) -> str:
    cost = "at a cost that is not known" if of.usd is None else f"for ${of.usd:.4f}"
    return (
        f"Version {of.version}: {of.done} of {of.runs} done, {of.failed} failed, {of.cancelled} cancelled; "
        f"median {of.median_seconds:g} s; {of.requests} requests, "
        f"{of.input_tokens} tokens in and {of.output_tokens} out, {of.tool_calls} tool calls, {cost}."
    )
