"""What a child writes: its lines whole up to a limit, the tail of its stderr, and the noise it may make."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import anyio
import pytest
from anyio.abc import ByteReceiveStream
from hypothesis import given
from hypothesis import strategies as st

from pygent_registry.pipes import (
    LONGEST_KEPT,
    NOISE_A_SECOND,
    NOISE_AT_ONCE,
    LineTooLong,
    Noise,
    keep_tail,
    lines,
)


class Pipe(ByteReceiveStream):
    """Gives these chunks, and then its end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise anyio.EndOfStream
        return chunk

    async def aclose(self) -> None:
        pass


def read(chunks: Iterable[bytes], most: int = 1000) -> list[bytes]:
    async def reading() -> list[bytes]:
        return [line async for line in lines(Pipe(chunks), most)]

    return anyio.run(reading)


def kept(chunks: Iterable[bytes], count: int = 3) -> list[str]:
    tail: deque[str] = deque(maxlen=count)
    anyio.run(keep_tail, Pipe(chunks), tail)
    return list(tail)


@given(st.lists(st.binary(max_size=8)), st.integers(1, 7))
def test_lines_are_the_same_however_the_pipe_cuts_them(said: list[bytes], size: int) -> None:
    whole = b"\n".join(said) + b"\n"
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert read(chunks) == [line for line in whole.split(b"\n") if line.strip()]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_line_may_have_so_many_bytes_and_no_more(size: int) -> None:
    def chunks(line: bytes) -> list[bytes]:
        return [line[at : at + size] for at in range(0, len(line), size)]

    assert read([*chunks(b"x" * 20), b"\n", *chunks(b"y" * 20), b"\n"], most=20) == [b"x" * 20, b"y" * 20]
    with pytest.raises(LineTooLong, match="wrote a message of more than"):
        read([b"short\n", *chunks(b"x" * 121)], most=20)


def test_a_line_without_an_end_is_not_kept_whole() -> None:
    given_out = 0

    def endless() -> Iterable[bytes]:
        nonlocal given_out
        while True:
            given_out += 1
            yield b"x" * 1000

    with pytest.raises(LineTooLong):
        read(endless(), most=10_000)
    assert given_out == 11


def test_of_stderr_the_last_lines_are_kept() -> None:
    assert kept([b"one\ntwo\n", b"\n  \nthr", b"ee\r\nfour\nfi", b"ve"]) == ["three", "four", "five"]
    assert kept([b"\n".join(b"%d" % number for number in range(1000)) + b"\n"]) == ["997", "998", "999"]


def test_of_a_long_line_on_stderr_the_beginning_is_kept() -> None:
    (line,) = kept([b"begin", *[b"x" * 1000] * 100, b"\n"])
    assert line.startswith("beginx")
    assert len(line) == LONGEST_KEPT


def test_so_much_noise_is_read_at_once_and_then_so_much_a_second() -> None:
    noise = Noise(at=0.0)
    for _ in range(NOISE_AT_ONCE):
        noise.heard(0.0)
        assert noise.wait() == 0.0
    for _ in range(NOISE_A_SECOND):
        noise.heard(0.0)
    assert noise.wait() == 1.0
    noise.heard(1.0)
    assert noise.wait() == 0.0


def test_what_was_asked_for_is_no_noise() -> None:
    noise = Noise(at=0.0)
    for _ in range(10 * NOISE_AT_ONCE):
        noise.heard(0.0)
        noise.asked_for()
    assert noise.wait() == 0.0
