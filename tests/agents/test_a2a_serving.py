"""Agents of the factory as A2A clients find and use them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from a2a.helpers import get_stream_response_text, new_text_message
from a2a.types import Role, SendMessageRequest, TaskState
from a2a_serving import serving

from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio


def said(text: str) -> SendMessageRequest:
    return SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))


async def test_a_deployed_agent_is_found_asked_and_answers(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy("tides", ["At six."], tmp_path, description="Knows the tides.")
        index = (await served.http.get(f"{served.url}/agents")).json()
        assert [row["name"] for row in index["agents"]] == ["tides"]
        client = await served.client("tides")
        events = [event async for event in client.send_message(said("When does the tide turn?"))]
    assert events[0].HasField("task")
    assert [get_stream_response_text(event) for event in events if event.HasField("artifact_update")] == [
        "At six."
    ]
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED


async def test_cards_are_open_and_calls_are_not(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        async with httpx.AsyncClient(trust_env=False) as nobody:
            card = await nobody.get(f"{served.url}/agents/tides/.well-known/agent-card.json")
            call = await nobody.post(f"{served.url}/agents/tides/", json={})
    assert (card.status_code, card.json()["name"]) == (200, "tides")
    assert call.status_code == 401
