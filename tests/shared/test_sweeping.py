"""What has ended is freed soon, though the process has much that stays."""

from __future__ import annotations

import gc
import weakref

import anyio
import pytest

from pygent_shared import sweeping

pytestmark = pytest.mark.anyio


class Circle:
    def __init__(self) -> None:
        self.itself = self


async def test_what_ended_in_a_circle_is_freed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "SECONDS", 0.01)
    ended = weakref.ref(circle := Circle())
    made = [[number] for number in range(5000)]  # so the collector has looked, and found the circle in use
    del circle
    assert ended() is not None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sweeping.sweep)
        with anyio.fail_after(5):
            while ended() is not None:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert len(made) == 5000


async def test_a_process_that_makes_nothing_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "SECONDS", 0.01)
    gc.collect()
    looked = gc.get_stats()[2]["collections"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sweeping.sweep)
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert gc.get_stats()[2]["collections"] == looked
