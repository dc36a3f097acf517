"""The memory server's prompts, resources and completion as a host meets them: through the registry."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.types import PromptReference, TextContent

from pygent_shared.testing import call

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_prompts_are_offered_under_the_servers_name_and_completed(fronted: Any, mode: str) -> None:
    async with fronted({"memory": {"server": "memory"}}, mode=mode) as client:
        offered = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert offered == [
            f"memory__{name}"
            for name in ("session_start", "session_end", "recall_topic", "consolidate", "forget_person")
        ]
        await call(client, "memory__memory_add", text="Ann lives in Lisbon.", tags=["people"])
        for name, arguments in (("session_start", {"topic": "Ann"}), ("recall_topic", {"topic": "Ann"})):
            (message,) = (await client.get_prompt(f"memory__{name}", arguments)).messages
            assert isinstance(message.content, TextContent)
            assert "> Ann lives in Lisbon." in message.content.text
        reference = PromptReference(name="memory__recall_topic")
        done = await client.complete(reference, {"name": "topic", "value": "pe"})
        assert done.completion.values == ["people"]
