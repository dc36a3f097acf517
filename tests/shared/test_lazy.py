from __future__ import annotations

import threading
from contextlib import AsyncExitStack

import pytest

from pygent_shared.lazy import Lazy
from pygent_shared.shipped import shipped

pytestmark = pytest.mark.anyio


class Thing:
    """Counts how often it was opened and closed."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        log.append("opened")

    def close(self) -> None:
        self._log.append("closed")


async def test_a_connection_that_asks_for_nothing_opens_nothing() -> None:
    log: list[str] = []
    lazy = Lazy(lambda: Thing(log))
    async with lazy.lifespan(None) as same:
        assert same is lazy

    assert log == []


async def test_many_threads_open_it_once() -> None:
    log: list[str] = []
    lazy = Lazy(lambda: Thing(log))
    begin, found = threading.Barrier(20), []

    def use() -> None:
        begin.wait(20)
        found.append(lazy.get())

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert log == ["opened"]
    assert len(found) == 20
    assert len(set(found)) == 1


async def test_it_is_closed_with_the_last_connection_and_opened_anew_for_the_next() -> None:
    log: list[str] = []
    lazy = Lazy(lambda: Thing(log))
    async with AsyncExitStack() as outer:
        await outer.enter_async_context(lazy.lifespan(None))
        async with lazy.lifespan(None):
            lazy.get()
        assert log == ["opened"]
    assert log == ["opened", "closed"]

    async with lazy.lifespan(None):
        lazy.get()
    assert log == ["opened", "closed", "opened", "closed"]


async def test_it_is_closed_also_when_the_connection_ends_with_an_error() -> None:
    log: list[str] = []
    lazy = Lazy(lambda: Thing(log))

    async def broken() -> None:
        async with lazy.lifespan(None):
            lazy.get()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await broken()

    assert log == ["opened", "closed"]


async def test_a_failure_to_open_is_raised_and_the_next_use_tries_again() -> None:
    log: list[str] = []
    failures = [OSError("the disk is away")]

    def open_it() -> Thing:
        if failures:
            raise failures.pop()
        return Thing(log)

    lazy = Lazy(open_it)
    async with lazy.lifespan(None):
        with pytest.raises(OSError, match="away"):
            lazy.get()
        assert lazy.get() is lazy.get()

    assert log == ["opened", "closed"]


def test_shipped_finds_what_comes_with_the_program_and_nothing_else() -> None:
    assert shipped("demo").is_dir()
    with pytest.raises(FileNotFoundError, match="configs/no-such-file is not part of this installation"):
        shipped("no-such-file")
