"""What tools of a run ask its user, approvals among it, is asked on the A2A task; the answer goes back."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
import mcp.types as t
import pytest
from mcp import Client
from tests.interop.a2a_instance import TOKEN as OTHER
from tests.interop.a2a_instance import calls, furnish, instance

from pygent_a2a.front import build_front
from pygent_registry.config import parse
from pygent_registry.endpoint import gateways
from pygent_registry.fronts import FrontCalls
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_shared.http.app import build_app
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

pytestmark = pytest.mark.anyio

ASKING = Path(__file__).parent / "asking_server.py"


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running endpoint with one agent, which calls a tool and then says that it is over."""

    url: str
    notes: Path
    registry: Registry
    token: str = TOKEN

    async def send(self, *parts: Any, task: str = "") -> dict[str, Any]:
        """The task that a message begins, or goes on with."""
        said = [{"text": part} if isinstance(part, str) else {"data": part} for part in parts]
        message = {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": said, "taskId": task}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        headers = {"Authorization": f"Bearer {self.token}", "A2A-Version": "1.0"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            answer = (await http.post(f"{self.url}/agents/actor/", json=body)).json()
        found: dict[str, Any] = answer["result"]["task"]
        return found

    @property
    def done(self) -> list[str]:
        """What the tools did."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []


def config(folder: Path) -> dict[str, Any]:
    asking = {"command": sys.executable, "args": [str(ASKING), str(folder / "notes")], "approve": ["act"]}
    return {"mcpServers": {"factory": {"server": "factory"}, "asking": asking}}


@asynccontextmanager
async def up(settings: Settings, folder: Path, tool: str, **arguments: Any) -> AsyncIterator[Up]:
    settings = replace(settings, port=0)
    script = folder / "script.json"
    script.write_text(json.dumps([calls(f"asking__{tool}", **arguments), "It is over."]))
    registry = Registry(parse(config(folder)), settings)
    front = build_front(settings, FrontCalls(registry, "a2a"))
    assert front is not None

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        async with registry.running():
            registry.start()
            made = {"name": "actor", "model": f"scripted:{script}", "tools": ["asking__*"]}
            made["more"] = {"strategy": "react"}
            result = await registry.call_tool("factory__create_agent", made)
            assert not result.get("isError"), result
            await registry.call_tool("factory__deploy_agent", {"name": "actor"})
            yield

    listener = listen(settings)
    app = build_app(gateways(registry), settings, TOKEN, around=around, fronts=[front])
    async with running(app, listener):
        yield Up(url=address(listener), notes=folder / "notes", registry=registry)


def state(task: dict[str, Any]) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_").lower()


def question(task: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = task["status"]["message"]["parts"]
    return parts


async def test_a_tool_that_needs_approval_waits_for_the_callers_yes(
    settings: Settings, tmp_path: Path
) -> None:
    async with up(settings, tmp_path, "act", what="sell") as served:
        asked = await served.send("Sell it.")
        assert state(asked) == "input_required"
        assert 'Let "asking__act"' in question(asked)[0]["text"]
        assert '{"what": "sell"}' in question(asked)[0]["text"]
        still = await served.send("What does that mean?", task=asked["id"])
        assert (state(still), question(still)) == ("input_required", question(asked))
        assert served.done == []
        ended = await served.send("Yes.", task=asked["id"])
        assert (state(ended), ended["artifacts"][0]["parts"][0]["text"]) == ("completed", "It is over.")
        assert served.done == ["sell"]


@pytest.mark.parametrize("no", ["no", {"action": "decline"}])
async def test_what_the_caller_declines_is_not_done_and_the_agent_is_told(
    settings: Settings, tmp_path: Path, no: Any
) -> None:
    async with up(settings, tmp_path, "act", what="sell") as served:
        asked = await served.send("Sell it.")
        ended = await served.send(no, task=asked["id"])
        trace = await served.registry.call_tool("factory__get_run", {"run": asked["id"]})
    assert (state(ended), served.done) == ("completed", [])
    assert trace["structuredContent"]["tools"][0]["error"] is True


async def test_an_approval_that_comes_after_the_question_has_expired_counts_still(
    settings: Settings, tmp_path: Path
) -> None:
    async with up(replace(settings, answer_patience=0.5), tmp_path, "act", what="sell") as served:
        asked = await served.send("Sell it.")
        await anyio.sleep(0.6)
        assert state(await served.send("yes", task=asked["id"])) == "completed"
        assert served.done == ["sell"]


async def test_an_address_to_be_opened_is_auth_required(settings: Settings, tmp_path: Path) -> None:
    async with up(settings, tmp_path, "sign_in") as served:
        asked = await served.send("Sign me in.")
        assert state(asked) == "auth_required"
        assert question(asked)[1]["url"] == "https://example.com/sign-in"
        assert "example.com" in question(asked)[0]["text"]
        assert state(await served.send("yes", task=asked["id"])) == "completed"
        assert served.done == ["sign_in accept so far"]


@pytest.mark.parametrize("answer", [{"litres": 3}, '{"litres": 3}'])
async def test_a_form_is_answered_with_data(settings: Settings, tmp_path: Path, answer: Any) -> None:
    async with up(settings, tmp_path, "pour") as served:
        asked = await served.send("Pour.")
        assert (state(asked), question(asked)[1]["data"]["required"]) == ("input_required", ["litres"])
        assert state(await served.send("a lot", task=asked["id"])) == "input_required"
        assert state(await served.send(answer, task=asked["id"])) == "completed"
        assert served.done == ["pour accept {'litres': 3}"]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_that_asks_its_user_is_asked_for_its_runs_too(
    settings: Settings, tmp_path: Path, mode: Any
) -> None:
    said: list[str] = []

    async def agree(context: object, params: Any) -> t.ElicitResult:
        said.append(params.message)
        return t.ElicitResult(action="accept", content={})

    async with up(settings, tmp_path, "act", what="sell") as served:
        async with Client(Gateway(served.registry), mode=mode, elicitation_callback=agree) as host:
            asked = {"name": "actor", "task": "Sell it."}
            result = await host.call_tool("factory__run_agent", asked)
        assert (result.structured_content or {})["answer"] == "It is over."
        assert served.done == ["sell"]
    assert ['Let "asking__act"' in one for one in said] == [True]


async def test_a_hosts_model_cannot_approve_what_only_a_user_may(settings: Settings, tmp_path: Path) -> None:
    async with up(settings, tmp_path, "act", what="sell") as served:
        asked = await served.send("Sell it.")
        call = served.registry.call_tool
        looked = await call("factory__get_run", {"run": asked["id"]})
        tried = await call("factory__continue_run", {"run": asked["id"], "reply": "yes"})
        alone = await call("factory__run_agent", {"name": "actor", "task": "Sell it."})
        assert served.done == []
    assert looked["structuredContent"]["state"] == "needs_input"
    assert "only they can answer" in looked["content"][0]["text"].lower()
    assert tried["isError"]
    assert "only" in tried["content"][0]["text"] or "nobody else" in tried["content"][0]["text"]
    assert alone["structuredContent"]["tools"][0]["error"] is True


async def test_pygent_a2a_alone_asks_the_same(tmp_path: Path) -> None:
    await furnish(tmp_path, actor=[calls("waiting__act", what="sell"), "It is over."])
    servers = config(tmp_path)["mcpServers"]
    servers["waiting"] = servers.pop("asking")  # which the agent's tools are of
    (tmp_path / "pygent.json").write_text(json.dumps({"mcpServers": servers}))
    with instance(tmp_path, "pygent_a2a") as other:
        served = Up(url=other.url, notes=tmp_path / "notes", registry=None, token=OTHER)  # type: ignore[arg-type]
        asked = await served.send("Sell it.")
        assert state(asked) == "input_required"
        assert served.done == []
        assert state(await served.send("yes", task=asked["id"])) == "completed"
        assert served.done == ["sell"]
