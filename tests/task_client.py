"""A client with the tasks extension, for tests: it asks about its tasks itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import anyio
import mcp.types as t
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from pydantic import ConfigDict

from pygent_shared.tasks import wire

PATIENCE = 30
LOOK_SECONDS = 0.05


class TaskResult(t.Result):
    """A task as the answer to a call."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = "task"


class Whole(t.Result):
    """A result with all that it holds."""

    model_config = ConfigDict(extra="allow")


class TaskRequest(t.Request[wire.UpdateParams | wire.TaskParams, str]):
    """A request about a task."""

    name_param = "taskId"


class WithTasks(ClientExtension):
    """Declares the extension. A call that is answered with a task is waited for to its end."""

    identifier = wire.EXTENSION

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=TaskResult, resolve=self._resolve)]

    async def _resolve(self, task: TaskResult, context: ClaimContext) -> t.CallToolResult:
        while True:
            found = await _asked(context.session, wire.GET, _data(task)["taskId"])
            if found["status"] == "completed":
                return t.CallToolResult.model_validate(found["result"], by_name=False)
            assert found["status"] == "working", found
            await anyio.sleep(LOOK_SECONDS)


async def begun(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a call is answered with: a task, or a result."""
    return _data(await client.session.call_tool(tool, arguments, allow_claimed=True))


async def get(client: Client, task: dict[str, Any]) -> dict[str, Any]:
    return await _asked(client.session, wire.GET, task["taskId"])


async def update(client: Client, task: dict[str, Any], **answers: dict[str, Any]) -> None:
    params = wire.UpdateParams(task_id=task["taskId"], input_responses=answers)
    await client.session.send_request(TaskRequest(method=wire.UPDATE, params=params), Whole)


async def cancel(client: Client, task: dict[str, Any]) -> None:
    await _asked(client.session, wire.CANCEL, task["taskId"])


async def settled(client: Client, task: dict[str, Any]) -> dict[str, Any]:
    """A task once it has ended or asks something."""
    with anyio.fail_after(PATIENCE):
        while (found := await get(client, task))["status"] == "working":
            await anyio.sleep(LOOK_SECONDS)
    return found


async def _asked(session: Any, method: str, id: str) -> dict[str, Any]:
    request = TaskRequest(method=method, params=wire.TaskParams(task_id=id))
    return _data(await session.send_request(request, Whole))


def _data(result: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = result.model_dump(by_alias=True, mode="json", exclude_unset=True)
    return dumped
