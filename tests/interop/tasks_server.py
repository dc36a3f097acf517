"""The fixture server of the conformance suite's tasks scenarios: our extension over jobs of this process.

    python tests/interop/tasks_server.py stdio
    python tests/interop/tasks_server.py http 3901

The rule of this file: the conformance suite dictates every tool's name, arguments and answer.
"""

import argparse
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp import types as t
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import BaseModel

from pygent_shared.seal import NAME, Seal
from pygent_shared.server import SuiteServer, answer
from pygent_shared.tasks.extension import Tasks
from pygent_shared.tasks.wire import require
from pygent_shared.tasks.work import Stand, form

FORTY = 40.0


class JobAnswer(BaseModel):
    job: str
    said: str = ""


@dataclass(kw_only=True)
class Job:
    """One piece of work, and what it asked."""

    id: str
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))
    asks: dict[str, t.InputRequest] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    answered: anyio.Event = field(default_factory=anyio.Event)
    result: t.CallToolResult | None = None
    error: t.ErrorData | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_cancelled: bool = False
    over: anyio.Event = field(default_factory=anyio.Event)

    async def asked(self, **questions: t.InputRequest) -> None:
        """Wait for the answers to all of these."""
        self.asks, self.changed = dict(questions), datetime.now(UTC)
        await self.answered.wait()


Do = Callable[[Job], Awaitable[str]]


class Jobs:
    """`pygent_shared.tasks.work.Work` in memory, for as long as the server is there."""

    def __init__(self) -> None:
        self.of: dict[str, Job] = {}
        self._group: TaskGroup | None = None

    @asynccontextmanager
    async def lifespan(self, server: object) -> AsyncIterator[None]:
        async with anyio.create_task_group() as self._group:
            yield
            self._group.cancel_scope.cancel()

    async def begin(self, do: Do, wait_s: float) -> CallToolResult:
        """Begin a job, and answer with its end where that comes in time."""
        job = Job(id=f"job-{len(self.of)}")
        self.of[job.id] = job
        assert self._group is not None
        self._group.start_soon(self._run, job, do)
        with anyio.move_on_after(wait_s):
            await job.over.wait()
        if job.error is not None:
            raise MCPError.from_error_data(job.error)
        return job.result or answer("It goes on.", JobAnswer(job=job.id))

    async def _run(self, job: Job, do: Do) -> None:
        with job.scope:
            try:
                job.result = answer(said := await do(job), JobAnswer(job=job.id, said=said))
            except ToolError as error:
                job.result = CallToolResult(content=[t.TextContent(text=str(error))], is_error=True)
            except MCPError as error:
                job.error = error.error
        job.is_cancelled = job.scope.cancelled_caught
        job.changed = datetime.now(UTC)
        job.over.set()

    async def handle(self, data: Mapping[str, Any]) -> str:
        return str(data["job"])

    async def look(self, handle: str, client: t.ClientCapabilities) -> Stand:
        job = self.of[handle]
        return Stand(
            changed=job.changed,
            asks={key: asked for key, asked in job.asks.items() if key not in job.answers},
            result=job.result,
            error=job.error,
            is_cancelled=job.is_cancelled,
        )

    async def answer(self, handle: str, key: str, answer: Mapping[str, Any]) -> None:
        job = self.of[handle]
        job.answers[key] = t.ElicitResult.model_validate(answer, by_name=False)
        if job.asks.keys() <= job.answers.keys():
            job.answered.set()

    async def cancel(self, handle: str) -> None:
        self.of[handle].scope.cancel()


def build_server(folder: Path) -> SuiteServer[None]:
    """The fixture server; the key of its tasks' ids is in the folder."""
    jobs = Jobs()
    tools = dict.fromkeys(TASKS, FORTY)
    extension = Tasks(jobs, tools, Seal(folder / NAME), soon=0.01)
    server: SuiteServer[None] = SuiteServer("tasks", lifespan=jobs.lifespan, extensions=[extension])

    @server.tool()
    def greet(name: str) -> str:
        """A tool that is never a task."""
        return f"Hello, {name}!"

    @server.tool()
    async def slow_compute(seconds: float = 1, label: str = "", wait_s: float = FORTY) -> CallToolResult:
        """Take so long."""

        async def do(job: Job) -> str:
            await anyio.sleep(seconds)
            return f"done {label}"

        return await jobs.begin(do, wait_s)

    @server.tool()
    async def failing_job(ctx: Context, wait_s: float = FORTY) -> CallToolResult:
        """Fail, as a tool does; as a task only."""
        require(ctx.request_context)

        async def do(job: Job) -> str:
            await anyio.sleep(0.1)
            raise ToolError("The job failed.")

        return await jobs.begin(do, wait_s)

    @server.tool()
    async def protocol_error_job(wait_s: float = FORTY) -> CallToolResult:
        """Fail, as the protocol does."""

        async def do(job: Job) -> str:
            await anyio.sleep(0.1)
            raise MCPError(t.INTERNAL_ERROR, "It broke.")

        return await jobs.begin(do, wait_s)

    @server.tool()
    async def confirm_delete(filename: str, wait_s: float = FORTY) -> CallToolResult:
        """Ask once."""

        async def do(job: Job) -> str:
            await job.asked(sure=form(f"Delete {filename}?", ok={"type": "boolean"}))
            return f"deleted {filename}"

        return await jobs.begin(do, wait_s)

    @server.tool()
    async def multi_input(wait_s: float = FORTY) -> CallToolResult:
        """Ask two things at once."""

        async def do(job: Job) -> str:
            boolean = {"type": "boolean"}
            await job.asked(one=form("One?", ok=boolean), two=form("Two?", ok=boolean))
            return "both"

        return await jobs.begin(do, wait_s)

    @server.tool()
    async def test_tool_with_task(
        ctx: Context, wait_s: float = FORTY
    ) -> CallToolResult | t.InputRequiredResult:
        """Ask first, and be a task then."""
        given = (ctx.input_responses or {}).get("user_name")
        if not isinstance(given, t.ElicitResult):
            question: dict[str, t.InputRequest] = {"user_name": form("Your name?", name={"type": "string"})}
            return t.InputRequiredResult(input_requests=question)

        async def do(job: Job) -> str:
            await anyio.sleep(0.2)
            return f"Hello, {(given.content or {})['name']}!"

        return await jobs.begin(do, wait_s)

    return server


TASKS = (
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
)


def main() -> None:
    """Serve over the transport that the command line names."""
    parser = argparse.ArgumentParser(description="Serve the fixtures of the conformance suite's tasks.")
    transports = parser.add_subparsers(dest="transport", required=True)
    transports.add_parser("stdio")
    transports.add_parser("http").add_argument("port", type=int)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        server = build_server(Path(folder))
        if chosen.transport == "stdio":
            server.run()
        else:
            server.run("streamable-http", port=chosen.port)


if __name__ == "__main__":
    main()
