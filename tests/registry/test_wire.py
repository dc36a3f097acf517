"""Requests past the SDK's client: what is taken from a child's output, and what is left to the SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import MCPError

from pygent_registry.pipes import NOISE_A_SECOND, NOISE_AT_ONCE
from pygent_registry.wire import MOST_REPORTS, Wire

pytestmark = pytest.mark.anyio


class Child:
    """The other end: what was written to it, and lines from it."""

    def __init__(self, tasks: Any) -> None:
        self.said: list[dict[str, Any]] = []
        self._heard = anyio.Event()
        self.wire = Wire(self._write, tasks)

    async def _write(self, line: bytes) -> None:
        self.said.append(json.loads(line))
        self._heard.set()

    async def asked(self) -> int:
        """The id of the first request."""
        await self._heard.wait()
        return int(self.said[0]["id"])

    def says(self, **message: Any) -> bool:
        return self.wire.takes(json.dumps({"jsonrpc": "2.0", **message}).encode())


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    async with anyio.create_task_group() as tasks:
        yield Child(tasks)


async def outcome(child: Child, into: list[Any], **options: Any) -> None:
    try:
        into.append(await child.wire.request("tools/call", {"name": "echo"}, **options))
    except MCPError as error:
        into.append(error.error)


@pytest.mark.parametrize("spelled", [int, str])
async def test_an_answer_reaches_its_request_however_the_id_is_spelled(child: Child, spelled: Any) -> None:
    got: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, child, got)
        assert child.says(id=spelled(await child.asked()), result={"new": [None]})
    assert got == [{"new": [None]}]


async def test_an_error_keeps_its_code_message_and_data(child: Child) -> None:
    got: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, child, got)
        assert child.says(id=await child.asked(), error={"code": -32050, "message": "no", "data": [1]})
    assert got == [t.ErrorData(code=-32050, message="no", data=[1])]


async def test_progress_is_reported_to_the_request_that_it_is_for(child: Child) -> None:
    got: list[Any] = []
    reports: list[Any] = []
    reported = anyio.Event()

    async def progress(*report: Any) -> None:
        reports.append(report)
        reported.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: outcome(child, got, progress=progress))
        number = await child.asked()
        assert child.said[0]["params"]["_meta"] == {"progressToken": number}
        report = {"progressToken": number, "progress": 1, "total": 3, "message": "step"}
        assert child.says(method="notifications/progress", params=report)
        await reported.wait()
        assert child.says(id=number, result={})
    assert reports == [(1.0, 3.0, "step")]


async def test_progress_that_comes_faster_than_it_is_passed_on_is_left_out(child: Child) -> None:
    begun = 0
    go_on = anyio.Event()

    async def slow(*report: Any) -> None:
        nonlocal begun
        begun += 1
        await go_on.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: outcome(child, [], progress=slow))
        number = await child.asked()
        for done in range(10 * MOST_REPORTS):
            assert child.says(
                method="notifications/progress", params={"progressToken": number, "progress": done}
            )
        await anyio.wait_all_tasks_blocked()
        assert begun == MOST_REPORTS
        go_on.set()
        await anyio.wait_all_tasks_blocked()
        assert child.says(method="notifications/progress", params={"progressToken": number, "progress": 1000})
        await anyio.wait_all_tasks_blocked()
        assert begun == MOST_REPORTS + 1
        assert child.says(id=number, result={})


async def test_answers_are_read_without_a_pause_and_a_flood_of_anything_else_with_one(child: Child) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(2):
            tasks.start_soon(outcome, child, [])
            await anyio.wait_all_tasks_blocked()
            assert child.says(id=child.said[number]["id"], result={})
    began = anyio.current_time()
    await child.wire.pause()
    assert anyio.current_time() - began < 0.1
    for _ in range(NOISE_AT_ONCE + NOISE_A_SECOND // 2):
        child.says(method="notifications/message")
    began = anyio.current_time()
    await child.wire.pause()
    assert anyio.current_time() - began > 0.1


async def test_a_cancelled_request_is_cancelled_at_the_child_and_forgotten(child: Child) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, child, [])
        number = await child.asked()
        tasks.cancel_scope.cancel()
    assert child.said[1]["method"] == "notifications/cancelled"
    assert child.said[1]["params"]["requestId"] == number
    assert not child.says(id=number, result={})


async def test_a_request_can_be_cancelled_though_the_child_reads_no_more(child: Child) -> None:
    async def broken(line: bytes) -> None:
        raise anyio.BrokenResourceError

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, child, got := [])
        await child.asked()
        child.wire._write = broken
        tasks.cancel_scope.cancel()
    assert got == []


async def test_the_end_of_the_child_is_the_end_of_its_requests(child: Child) -> None:
    got: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, child, got)
        await child.asked()
        child.wire.close()
    await outcome(child, got)
    assert [error.code for error in got] == [t.CONNECTION_CLOSED] * 2
    assert len(child.said) == 1


async def test_what_is_not_for_a_request_of_its_own_is_left_to_the_sdk(child: Child) -> None:
    assert not child.says(id=1, result={})
    assert not child.says(id="q1", method="sampling/createMessage", params={})
    assert not child.says(method="notifications/progress", params={"progressToken": 7, "progress": 1})
    assert not child.says(method="notifications/tools/list_changed")
    for rubbish in (b"starting up...", b"[]", b"{", b"null", b'{"jsonrpc": "2.0"}', b"[" * 10_000):
        assert not child.wire.takes(rubbish)


async def test_a_malformed_answer_is_no_answer(child: Child) -> None:
    got: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, child, got)
        number = await child.asked()
        assert not child.says(id=number, result="text")
        assert not child.says(id=number, error={"code": "x"})
        assert child.says(id=number, result={})
    assert got == [{}]
