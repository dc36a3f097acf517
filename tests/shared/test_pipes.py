"""The streams over stdin and stdout: pipes, files, and hosts that read slowly or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCNotification, JSONRPCRequest

from pygent_shared import pipes
from pygent_shared.pipes import Answers, Questions

pytestmark = pytest.mark.anyio

LINES = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n\r\nnot json\n{"jsonrpc":"2.0","id":2,"method":"ping"}'


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


async def nothing() -> None:
    return None


async def read_all(descriptor: int) -> list[Any]:
    kept: list[Any] = []
    questions = Questions(descriptor, kept.append, nothing)
    read = [item async for item in questions]
    assert read == kept
    return [item.message if isinstance(item, SessionMessage) else type(item) for item in read]


def are_two_pings_and_an_error(read: list[Any]) -> bool:
    first, middle, last = read
    assert issubclass(middle, ValueError)
    return [first.id, last.id] == [1, 2] and isinstance(first, JSONRPCRequest)


async def test_a_pipe_is_read_line_by_line_to_its_last_unended_line(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], LINES[:17])

    async def the_rest() -> None:
        os.write(pipe[1], LINES[17:])
        os.close(pipe[1])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(the_rest)
        assert are_two_pings_and_an_error(await read_all(pipe[0]))


async def test_a_message_that_is_too_long_is_read_past_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "MOST_BYTES", 200_000)
    first, last = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n', b'{"jsonrpc":"2.0","id":2,"method":"ping"}'
    (tmp_path / "lines").write_bytes(first + b"x" * 1_000_000 + b"\n" + last)
    most = 0
    with (tmp_path / "lines").open("rb") as file:
        questions = Questions(file.fileno(), lambda item: None, nothing)
        read: list[Any] = []
        async for item in questions:
            read.append(item.message if isinstance(item, SessionMessage) else type(item))
            most = max(most, sum(map(len, questions._parts)))
    assert are_two_pings_and_an_error(read)
    assert most <= 200_000


async def test_a_file_can_be_stdin(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(LINES)
    with (tmp_path / "lines").open("rb") as file:
        assert are_two_pings_and_an_error(await read_all(file.fileno()))


async def test_the_stream_ends_only_when_its_end_is_allowed(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    allowed: list[bool] = []

    async def ended() -> None:
        allowed.append(True)

    with pytest.raises(anyio.EndOfStream):
        await Questions(pipe[0], lambda item: None, ended).receive()
    assert allowed == [True]


def message(text: str) -> SessionMessage:
    return SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="m", params={"text": text}))


async def test_messages_larger_than_the_pipe_arrive_whole_while_the_loop_goes_on(
    pipe: tuple[int, int],
) -> None:
    answers = Answers(pipe[1], lambda item: None, lambda: None)
    sizes = (300_000, 10, 300_000)

    def read() -> list[int]:
        with os.fdopen(os.dup(pipe[0]), "rb") as file:
            return [len(file.readline()) for _ in sizes]

    async with anyio.create_task_group() as tasks:
        for size in sizes:
            tasks.start_soon(answers.send, message("x" * size))
        await anyio.wait_all_tasks_blocked()  # nobody reads yet, and this still runs
        frame = len(message("").message.model_dump_json(exclude_unset=True)) + 1
        assert await to_thread.run_sync(read) == [size + frame for size in sizes]


async def test_a_host_that_reads_no_more_is_said_to_be_gone(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    gone: list[bool] = []
    answers = Answers(pipe[1], lambda item: None, lambda: gone.append(True))
    with pytest.raises(anyio.BrokenResourceError):
        await answers.send(message("hello"))
    assert gone == [True]
