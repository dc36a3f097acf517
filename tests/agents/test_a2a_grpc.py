"""gRPC, where it is switched on: beside the other bindings, for the same callers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import grpc
import pytest
from a2a.types import (
    GetExtendedAgentCardRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    TaskState,
)
from a2a.types.a2a_pb2_grpc import A2AServiceStub
from a2a_serving import TOKEN, heard, serving
from test_a2a_mounted import up

from pygent_a2a import front, grpc_server
from pygent_a2a.front import build_front
from pygent_a2a.store_sqlite import SqliteEngine
from pygent_shared.errors import MissingExtra, NotStarted, ours
from pygent_shared.http.guard import Guard
from pygent_shared.http.identity import Refusal
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio


def said(text: str, tenant: str = "tides", **more: Any) -> SendMessageRequest:
    message = Message(message_id=text, role=Role.ROLE_USER, parts=[Part(text=text)], **more)
    return SendMessageRequest(message=message, tenant=tenant)


@asynccontextmanager
async def calling(settings: Settings, token: str = TOKEN, **metadata: str) -> AsyncIterator[Any]:
    """A stub that sends a token and metadata with every call, as a client in any language does."""
    sent = [
        ("a2a-version", "1.0"),
        *metadata.items(),
        *([("authorization", f"Bearer {token}")] if token else []),
    ]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{settings.a2a_grpc_port}") as channel:
        stub = A2AServiceStub(channel)

        class Stub:
            def __getattr__(self, method: str) -> Any:
                return lambda request, **more: getattr(stub, method)(request, metadata=sent, **more)

        yield Stub()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return heard(settings, "GRPC")


async def refused(call: Any) -> tuple[str, str]:
    """The status and the words with which a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details()


async def test_each_card_says_where_it_is_and_which_tenant_the_agent_is(
    settings: Settings, tmp_path: Path
) -> None:
    async with serving(settings) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        card = (await served.card("tides")).json()
        suite = (await served.http.get(f"{served.url}/.well-known/agent-card.json")).json()
    port = settings.a2a_grpc_port
    about = {"url": f"127.0.0.1:{port}", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
    assert [one for one in card["supportedInterfaces"] if one["protocolBinding"] == "GRPC"] == [
        {**about, "tenant": "tides"}
    ]
    assert about in suite["supportedInterfaces"]


async def test_a_card_names_the_address_that_is_set(settings: Settings, tmp_path: Path) -> None:
    async with serving(replace(settings, a2a_grpc_url="agents.example.com:443")) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        card = (await served.card("tides")).json()
    assert "agents.example.com:443" in [one["url"] for one in card["supportedInterfaces"]]


async def test_a_tenant_names_the_agent_and_without_one_the_only_one_answers(
    settings: Settings, tmp_path: Path
) -> None:
    async with serving(settings) as served, calling(settings) as stub:
        await served.deploy("tides", ["At six."], tmp_path)
        only = await stub.SendMessage(said("1", tenant=""))
        await served.deploy("moon", ["It is full."], tmp_path)
        await anyio.sleep(1.1)  # what is known of agents is believed for a second
        moon = await stub.SendMessage(said("2", tenant="moon"))
        code, why = await refused(stub.SendMessage(said("3", tenant="mon")))
    assert only.task.artifacts[0].parts[0].text == "At six."
    assert moon.task.artifacts[0].parts[0].text == "It is full."
    assert (code, 'Did you mean "moon"?' in why) == ("INVALID_ARGUMENT", True)


@pytest.mark.parametrize("token", ["", "nonsense"])
async def test_who_sends_no_token_that_is_known_is_refused(
    settings: Settings, tmp_path: Path, token: str
) -> None:
    async with serving(settings) as served, calling(settings, token) as stub:
        await served.deploy("tides", ["At six."], tmp_path)
        code, _ = await refused(stub.SendMessage(said("1")))
        streamed, _ = await refused(anext(aiter(stub.SendStreamingMessage(said("2")))))
        async with calling(settings) as known:
            kept = (await known.ListTasks(ListTasksRequest(tenant="tides"))).tasks
    assert (code, streamed, list(kept)) == ("UNAUTHENTICATED", "UNAUTHENTICATED", [])


async def test_callers_are_those_of_http_with_their_roles_and_their_own_tasks(
    settings: Settings, tmp_path: Path
) -> None:
    async with up(settings, tmp_path) as served:
        ada, bob, reader = served.key("ada"), served.key("bob"), served.key("carl", "reader")
        hers = await served.send(ada, "1")
        async with calling(settings, ada) as stub:
            own = (await stub.ListTasks(ListTasksRequest(tenant="tides"))).tasks
        async with calling(settings, bob) as stub:
            others = (await stub.ListTasks(ListTasksRequest(tenant="tides"))).tasks
            foreign = await refused(stub.SendMessage(said("2", task_id=hers["id"])))
        async with calling(settings, reader) as stub:
            rejected = (await stub.SendMessage(said("3"))).task.status
    assert ([one.id for one in own], list(others)) == ([hers["id"]], [])
    assert foreign[0] == "NOT_FOUND"
    assert rejected.state == TaskState.TASK_STATE_REJECTED
    assert "roles do not allow" in rejected.message.parts[0].text


async def test_a_stream_ends_once_its_caller_may_call_no_longer(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted, asked = Guard.admit, []

    async def once(self: Guard, authorizations: Any, path: str) -> Any:
        asked.append(path)
        gone = Refusal(status=401, sentence="This key was revoked.")
        return await admitted(self, authorizations, path) if len(asked) == 1 else gone

    monkeypatch.setattr(Guard, "admit", once)
    monkeypatch.setattr(grpc_server, "RECHECK_SECONDS", 0.0)
    async with serving(settings) as served, calling(settings) as stub:
        await served.deploy("tides", ["At six."], tmp_path)
        events = aiter(stub.SendStreamingMessage(said("1")))
        assert await refused(anext(events)) == ("UNAUTHENTICATED", "This key was revoked.")


async def test_a_message_that_is_too_large_is_refused_and_nothing_is_kept(
    settings: Settings, tmp_path: Path
) -> None:
    async with serving(replace(settings, a2a_max_mb=1)) as served, calling(settings) as stub:
        await served.deploy("tides", ["At six."], tmp_path)
        await stub.ListTasks(ListTasksRequest(tenant="tides"))
        code, _ = await refused(stub.SendMessage(said("x" * 2**20)))
        with closing(SqliteEngine(settings.data_dir / "a2a.db")) as engine:
            assert engine.query("SELECT count(*) FROM a2a_task") == [(0,)]
    assert code == "RESOURCE_EXHAUSTED"


async def test_why_agents_cannot_be_reached_is_told_to_nobody(settings: Settings) -> None:
    url = "postgresql://secret-host.invalid:1/tasks"
    async with serving(replace(settings, a2a_database=url)), calling(settings) as stub:
        code, why = await refused(stub.SendMessage(said("1")))
    assert (code, "secret-host" in why) == ("UNAVAILABLE", False)


async def test_the_trace_of_a_call_goes_on_to_the_run(settings: Settings, tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with serving(settings) as served:
        seen: list[Any] = []
        call = served.factory.call_tool

        async def noted(name: str, arguments: Any, **more: Any) -> Any:
            seen.append((name, more.get("meta")))
            return await call(name, arguments, **more)

        served.factory.call_tool = noted  # type: ignore[method-assign]
        await served.deploy("tides", ["At six."], tmp_path)
        async with calling(settings, traceparent=f"00-{trace}-00f067aa0ba902b7-01") as stub:
            await stub.SendMessage(said("1"))
    (meta,) = [meta for name, meta in seen if name == "chat"]
    assert meta["traceparent"].split("-")[1] == trace


async def test_the_extended_card_is_had(settings: Settings, tmp_path: Path) -> None:
    async with serving(replace(settings, a2a_url="https://agents.example.com")) as served:
        await served.deploy("tides", ["At six."], tmp_path)
        async with calling(settings) as stub:
            card = await stub.GetExtendedAgentCard(GetExtendedAgentCardRequest(tenant="tides"))
    assert card.supported_interfaces[0].url == "https://agents.example.com/agents/tides/"


async def test_a_port_that_is_taken_keeps_the_server_from_starting(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(settings):
        with pytest.raises(BaseExceptionGroup) as caught:
            async with serving(settings):
                pytest.fail("it was not to start")
    assert [type(error) for error in ours(caught.value)] == [NotStarted]
    assert f"Port {settings.a2a_grpc_port} on 127.0.0.1 is taken by another program" in caplog.text


def test_what_it_needs_is_named_where_it_is_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pygent-factory\[grpc\]"):
        build_front(settings, None)  # type: ignore[arg-type]
    assert build_front(replace(settings, a2a_grpc_port=0), None) is not None  # type: ignore[arg-type]


def test_nothing_of_it_is_imported_where_it_is_off() -> None:
    look = "import sys, pygent_a2a.front; sys.exit('grpc' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", look], env={"PYTHONPATH": ":".join(sys.path)})
    assert ended.returncode == 0
