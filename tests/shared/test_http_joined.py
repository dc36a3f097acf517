"""The writes of an answer leave together, in order, and none stays behind."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from pygent_shared.http.joined import JoinedWrites


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def joined() -> tuple[JoinedWrites, Mock]:
    under = Mock(spec=asyncio.Transport)
    return JoinedWrites(under, asyncio.get_running_loop()), under


def written(under: Mock) -> list[bytes]:
    return [call.args[0] for call in under.write.call_args_list]


@pytest.mark.anyio
async def test_a_head_and_its_body_are_one_write() -> None:
    transport, under = joined()
    transport.write(b"head ")
    transport.write(b"body")
    assert written(under) == [b"head body"]


@pytest.mark.anyio
async def test_what_nothing_follows_leaves_with_the_turn_of_the_loop() -> None:
    transport, under = joined()
    for part in (b"head ", b"first", b"second"):
        transport.write(part)
    await asyncio.sleep(0)
    assert written(under) == [b"head first", b"second"]


@pytest.mark.anyio
async def test_closing_writes_what_is_held_before() -> None:
    transport, under = joined()
    transport.write(b"all")
    transport.close()
    assert [call[0] for call in under.method_calls] == ["write", "close"]
