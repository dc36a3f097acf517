"""Whoever watches an agent through the registry hears of each change of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client

from pygent_shared.settings import Settings

from .conftest import Fronted
from .test_factory import call

pytestmark = pytest.mark.anyio

URI = "agent://a"
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])
MOVES: list[tuple[str, dict[str, Any]]] = [
    ("configure_agent", {"instructions": "Help."}),
    ("deploy_agent", {}),
    ("pause_agent", {}),
    ("retire_agent", {}),
]


@MODES
async def test_each_move_of_an_agent_is_told_to_a_host_that_subscribed_to_it(
    fronted: Fronted, mode: str
) -> None:
    told: list[str] = []
    came = anyio.Event()

    async def heard(message: object) -> None:
        nonlocal came
        if isinstance(message, t.ResourceUpdatedNotification):
            told.append(str(message.params.uri))
            came.set()

    async with fronted({"factory": {"server": "factory"}}, mode=mode, message_handler=heard) as client:
        await call(client, "factory__create_agent", name="a", type="")
        await call(client, "factory__create_agent", name="b", type="")
        with anyio.fail_after(30):
            if mode == "legacy":
                await client.session.subscribe_resource(URI)
                for tool, more in MOVES:
                    came = anyio.Event()
                    await call(client, f"factory__{tool}", name="b", **more)
                    await call(client, f"factory__{tool}", name="a", **more)
                    await came.wait()
                assert told == [URI] * len(MOVES)
            else:
                async with client.listen(resource_subscriptions=[URI]) as events:
                    following = aiter(events)
                    for tool, more in MOVES:
                        await call(client, f"factory__{tool}", name="b", **more)
                        await call(client, f"factory__{tool}", name="a", **more)
                        assert (await anext(following)).uri == URI  # type: ignore[union-attr]


async def test_a_refused_move_is_not_told(fronted: Fronted) -> None:
    told: list[str] = []

    async def heard(message: object) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            told.append(str(message.params.uri))

    async with fronted({"factory": {"server": "factory"}}, mode="legacy", message_handler=heard) as client:
        await call(client, "factory__create_agent", name="a")
        await client.session.subscribe_resource(URI)
        assert (await client.call_tool("factory__pause_agent", {"name": "a"})).is_error
        await call(client, "factory__show_agent", name="a")
        await client.list_tools()
    assert told == []


async def test_an_agent_that_its_file_changed_is_told_too(
    fronted: Fronted, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.toml").write_text('type = "general"\n')
    told = anyio.Event()

    async def heard(message: object) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            told.set()

    wanted: Client
    options: dict[str, Any] = {"settings": replace(settings, agents=str(folder))}
    servers = {"factory": {"server": "factory"}}
    async with fronted(servers, mode="legacy", message_handler=heard, **options) as wanted:
        await call(wanted, "factory__show_agent", name="a")
        await wanted.session.subscribe_resource(URI)
        (folder / "a.toml").write_text('type = "general"\ndescription = "Helps."\n')
        await call(wanted, "factory__list_agents")
        with anyio.fail_after(30):
            await told.wait()
