"""Whoever watches a workflow through the registry hears of each step that ends, and of its end."""

from __future__ import annotations

import anyio
import mcp.types as t
import pytest
from mcp import Client

from .conftest import Fronted
from .test_orchestration import PATIENCE, call

pytestmark = pytest.mark.anyio

TEXT = """
[steps.first]
signal = "Go?"
[steps.second]
condition = "1"
needs = ["first"]
"""


async def test_that_a_workflow_waits_for_an_approval_and_was_cancelled_is_told(fronted: Fronted) -> None:
    servers = {"orchestration": {"server": "orchestration"}}
    text = '[steps.first]\nsignal = "Go?"\n[steps.second]\napproval = "Send?"\nneeds = ["first"]\n'
    async with fronted(servers) as client:
        await call(client, "orchestration__define_workflow", name="w", definition=text)
        id = (await call(client, "orchestration__start_workflow", name="w"))["workflow"]
        asked = {"workflow": id, "message": 1}
        with anyio.fail_after(PATIENCE):
            async with client.listen(resource_subscriptions=[f"workflow://{id}/events"]) as events:
                following = aiter(events)
                while (await client.call_tool("orchestration__signal_workflow", asked)).is_error:
                    await anyio.sleep(0.05)  # it does not wait for it yet
                while True:
                    await anext(following)
                    at = await call(client, "orchestration__workflow_status", workflow=id)
                    if at["steps"][1]["state"] == "waiting":
                        break
                await call(client, "orchestration__cancel_workflow", workflow=id)
                await anext(following)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_each_step_of_a_workflow_is_told_to_a_host_that_watches_it(fronted: Fronted, mode: str) -> None:
    told: list[str] = []
    came = anyio.Event()

    async def heard(message: object) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            told.append(str(message.params.uri))
            came.set()

    async def go_on(client: Client, id: str) -> None:
        asked = {"workflow": id, "message": 1}
        while (await client.call_tool("orchestration__signal_workflow", asked)).is_error:
            await anyio.sleep(0.05)  # it does not wait for it yet

    servers = {"orchestration": {"server": "orchestration"}}
    async with fronted(servers, mode=mode, message_handler=heard) as client:
        await call(client, "orchestration__define_workflow", name="w", definition=TEXT)
        ids = [(await call(client, "orchestration__start_workflow", name="w"))["workflow"] for _ in range(2)]
        uris = [f"workflow://{id}" for id in ids]
        with anyio.fail_after(PATIENCE):
            if mode == "legacy":
                await client.session.subscribe_resource(uris[0])
                for id in reversed(ids):
                    await go_on(client, id)
                await came.wait()
                assert set(told) == {uris[0]}
            else:
                async with client.listen(resource_subscriptions=[uris[0]]) as events:
                    for id in reversed(ids):
                        await go_on(client, id)
                    assert (await anext(aiter(events))).uri == uris[0]  # type: ignore[union-attr]
            done = await call(client, "orchestration__wait_for_workflow", workflow=ids[0])
            assert done["state"] == "done"
