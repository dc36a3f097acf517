"""What a caller is told while an agent works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from pygent_shared.settings import Settings

from .test_factory_runs import MODES, SCRIPT, Notes, call, deployed, factory, sampling, script

pytestmark = pytest.mark.anyio


class Gated(Notes):
    """A peer whose tool answers once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.open = anyio.Event()

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        await self.open.wait()
        return await super().call_tool(name, arguments)


@MODES
async def test_whoever_waits_for_a_run_is_told_what_it_is_at(
    settings: Settings, tmp_path: Path, mode: Any
) -> None:
    peers, told = Gated(), []

    async def progress(number: float, total: float | None, message: str | None) -> None:
        told.append((number, message))
        if message == "tool notes__search":
            peers.open.set()

    async with factory(settings, peers, mode=mode) as client:
        await deployed(client, script(tmp_path, SCRIPT))
        asked = {"name": "tides", "task": "When does the tide turn?"}
        with anyio.fail_after(30):
            result = await client.call_tool("run_agent", asked, progress_callback=progress)
    assert result.structured_content is not None
    assert result.structured_content["state"] == "done"
    assert told[:2] == [(1, "model call 1"), (2, "tool notes__search")]


async def test_progress_goes_on_while_the_host_lends_its_model(settings: Settings) -> None:
    told = []

    async def progress(number: float, total: float | None, message: str | None) -> None:
        told.append((number, message))

    async with factory(settings, Notes(), mode="legacy", sampling_callback=sampling([])) as client:
        await deployed(client)
        asked = {"name": "tides", "task": "When does the tide turn?"}
        await client.call_tool("run_agent", asked, progress_callback=progress)
    assert told == [(1, "model call 1"), (2, "tool notes__search"), (3, "model call 2")]


async def test_who_asks_for_no_progress_gets_the_answer_alone(settings: Settings, tmp_path: Path) -> None:
    async with factory(settings, Notes()) as client:
        await deployed(client, script(tmp_path, SCRIPT))
        assert (await call(client, "run_agent", name="tides", task="When?"))["state"] == "done"
