from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from pygent_shared.http.reply import QUIET_SECONDS, Reply, framed

pytestmark = pytest.mark.anyio


class Sent:
    """What an ASGI server was given, in order."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.more = True
        self.news = anyio.Event()

    async def __call__(self, message: Any) -> None:
        assert self.more, "nothing may follow the last part"
        if message["type"] == "http.response.start":
            assert not self.status
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            assert self.status
            self.bodies.append(message["body"])
            self.more = message["more_body"]
        self.news.set()


@pytest.fixture
def sent(anyio_backend: str) -> Sent:
    return Sent()


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()


async def test_a_result_alone_is_a_json_body(sent: Sent, tasks: TaskGroup) -> None:
    reply = Reply(sent, {"mcp-session-id": "s"}, tasks)
    await reply.end(b'{"id":1}')
    await reply.wait()

    assert (sent.status, sent.bodies, sent.more) == (200, [b'{"id":1}'], False)
    assert sent.headers == {
        "content-type": "application/json",
        "content-length": "8",
        "mcp-session-id": "s",
    }


async def test_an_error_alone_has_its_own_status(sent: Sent, tasks: TaskGroup) -> None:
    await Reply(sent, {}, tasks).end(b"{}", 404)

    assert sent.status == 404


async def test_what_comes_before_the_result_makes_it_a_stream(sent: Sent, tasks: TaskGroup) -> None:
    reply = Reply(sent, {}, tasks)
    await reply.send(framed(b'{"method":"m"}'))
    await reply.end(b'{"id":1}', 404)

    assert sent.status == 200
    assert sent.headers["content-type"] == "text/event-stream"
    assert sent.bodies == [
        b'event: message\r\ndata: {"method":"m"}\r\n\r\n',
        b'event: message\r\ndata: {"id":1}\r\n\r\n',
    ]
    assert not sent.more


async def test_a_long_call_shows_signs_of_life(sent: Sent, tasks: TaskGroup) -> None:
    reply = Reply(sent, {}, tasks, quiet=0.01)
    with anyio.fail_after(5):
        while len(sent.bodies) < 2:
            sent.news = anyio.Event()
            await sent.news.wait()
    await reply.end(b"{}")

    assert set(sent.bodies[:2]) == {b": ping\r\n\r\n"}
    assert sent.bodies[-1] == framed(b"{}")
    assert 0 < QUIET_SECONDS < 15


async def test_nothing_is_written_after_the_end(sent: Sent, tasks: TaskGroup) -> None:
    reply = Reply(sent, {}, tasks)
    await reply.end(b"{}")
    await reply.end(b'{"again":1}')
    await reply.send(framed(b"{}"))

    assert sent.bodies == [b"{}"]


async def test_an_abandoned_reply_lets_its_waiter_go_and_writes_nothing(sent: Sent, tasks: TaskGroup) -> None:
    reply = Reply(sent, {}, tasks)
    reply.abandon()
    await reply.wait()
    await reply.end(b"{}")

    assert not sent.status


async def test_a_client_that_has_gone_is_no_failure_of_the_one_who_writes(tasks: TaskGroup) -> None:
    async def torn(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    reply = Reply(torn, {}, tasks)
    await reply.end(b"{}")

    await reply.wait()
