"""Servers of other makers work behind the registry as they do alone, for hosts of both eras, over both ways.

`real_servers.py` installs them; where they are missing these tests skip and say what to type.
"""

import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import mcp.types as t
import pytest
from mcp import Client, MCPError, StdioServerParameters

from .real_servers import entry, missing
from .serving import free_port, started

pytestmark = pytest.mark.anyio

PROGRAM = str(Path(sys.executable).with_name("pygent"))
START_SECONDS = 60.0
CALL_SECONDS = 30.0
BACK_SECONDS = 1.0
"""A server that was killed answers again after so long, and the time that it takes to start by itself."""
TOLD_SECONDS = 8.0

Host = Callable[..., AbstractAsyncContextManager[Client]]
"""`async with host("files", **client_options) as client:`, a host in front of the ones named, or of all. Over
HTTP all of them are there in any case.
"""


def said(result: t.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, t.TextContent)
    return block.text


async def answer(client: Client, tool: str, **arguments: Any) -> str:
    """The one text of a call that succeeds."""
    with anyio.fail_after(CALL_SECONDS):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return said(result)


def servers(folder: Path) -> dict[str, dict[str, Any]]:
    """The four, with what they keep in a folder."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    return {
        # The host's model is for servers that are let ask for it.
        "everything": {**entry("server-everything", "stdio"), "ask": ["elicitation", "roots", "sampling"]},
        "files": entry("server-filesystem", str(folder / "files")),
        "graph": entry("server-memory", env={"MEMORY_FILE_PATH": str(folder / "graph.jsonl")}),
        "time": entry("mcp_server_time", "--local-timezone", "UTC"),
    }


def options(folder: Path, *names: str) -> list[str]:
    """What the registry is started with over the servers named, or all four, in this folder."""
    config = folder / "pygent.json"
    chosen = {name: made for name, made in servers(folder).items() if name in names or not names}
    config.write_text(json.dumps({"mcpServers": chosen}))
    return [
        "--config",
        str(config),
        "--data-dir",
        str(folder / "data"),
        "--embedder",
        "none",
        "--tools",
        "all",
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers of this module's hosts keep what they keep."""
    if why := missing():
        pytest.skip(why)
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[str]:
    """The address of one `pygent up` for all tests of this module."""
    own, port = folder / "up", free_port()
    own.mkdir()
    words = [PROGRAM, "up", "--port", str(port), *options(own)]
    with started(words, {"PYGENT_AUTH": "none"}, own / "log") as process:
        base, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
        while not _is_ready(base):
            assert process.poll() is None, (own / "log").read_text()
            assert time.monotonic() < deadline, (own / "log").read_text()
            time.sleep(0.1)
        yield base


def _is_ready(base: str) -> bool:
    try:
        return httpx.get(f"{base}/health/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(params=["stdio-auto", "http-legacy", "http-auto"])
def host(request: pytest.FixtureRequest, folder: Path) -> Host:
    way, _, mode = request.param.partition("-")
    over = _Stdio(folder) if way == "stdio" else request.getfixturevalue("up") + "/mcp"

    @asynccontextmanager
    async def joined(*names: str, **more: Any) -> AsyncIterator[Client]:
        target = over.parameters(*names) if isinstance(over, _Stdio) else over
        with anyio.fail_after(START_SECONDS * 2):
            async with Client(target, mode=mode, **more) as client:
                yield client

    return joined


class _Stdio:
    """`pygent serve`, for one host of each test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "stdio"

    def parameters(self, *names: str) -> StdioServerParameters:
        self._folder.mkdir(exist_ok=True)
        words = ["serve", *options(self._folder, *names)]
        return StdioServerParameters(command=PROGRAM, args=words, env=dict(os.environ))


async def state(client: Client, server: str) -> dict[str, Any]:
    """What the registry says of a server."""
    read = await client.read_resource("pygent://servers")
    (contents,) = read.contents
    assert isinstance(contents, t.TextResourceContents)
    found: dict[str, Any] = json.loads(contents.text)["servers"][server]
    return found


async def kill(client: Client, server: str) -> None:
    os.kill((await state(client, server))["pid"], signal.SIGKILL)


# What the host answers when it is asked.


async def sampled(context: object, params: t.CreateMessageRequestParams) -> t.CreateMessageResult:
    (message,) = params.messages
    assert isinstance(message.content, t.TextContent)
    reply = t.TextContent(text=f"The model read: {message.content.text}")
    return t.CreateMessageResult(role="assistant", model="scripted", content=reply)


async def elicited(context: object, params: t.ElicitRequestParams) -> t.ElicitResult:
    return t.ElicitResult(action="accept", content={"name": "Ada Lovelace", "integer": 36})


async def rooted(context: object) -> t.ListRootsResult:
    return t.ListRootsResult(roots=[t.Root(uri="file:///srv/project", name="project")])  # type: ignore[arg-type]


ANSWERING = {
    "sampling_callback": sampled,
    "elicitation_callback": elicited,
    "list_roots_callback": rooted,
}


# All of them at once.


async def test_every_tool_of_every_server_is_listed_under_its_prefix_as_the_server_describes_it(
    host: Host, tmp_path: Path
) -> None:
    alone = []
    for name, made in servers(tmp_path).items():
        parameters = StdioServerParameters(**{**made, "env": {**os.environ, **made.get("env", {})}})
        async with Client(parameters, mode="legacy", **ANSWERING) as direct:
            for tool in (await direct.list_tools()).tools:
                alone.append(
                    (f"{name}__{tool.name}", tool.description, tool.input_schema, tool.output_schema)
                )
    async with host(**ANSWERING) as client:
        listed = (await client.list_tools()).tools
        assert [
            (tool.name, tool.description, tool.input_schema, tool.output_schema) for tool in listed
        ] == alone
        again = (await client.list_tools(cache_mode="bypass")).tools
        assert [tool.name for tool in again] == [tool.name for tool in listed]


async def test_one_is_killed_while_the_others_answer(host: Host) -> None:
    async with host() as client:
        assert await answer(client, "time__get_current_time", timezone="UTC")
        before = [tool.name for tool in (await client.list_tools()).tools]
        await kill(client, "everything")
        assert json.loads(await answer(client, "time__get_current_time", timezone="UTC"))["timezone"] == "UTC"
        assert "files" in await answer(client, "files__list_allowed_directories")
        assert "entities" in (await client.call_tool("graph__read_graph", {})).structured_content  # type: ignore[operator]
        assert [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools] == before
        with anyio.fail_after(CALL_SECONDS):
            while (await client.call_tool("everything__echo", {"message": "back"})).is_error:
                await anyio.sleep(0.05)


# filesystem


async def test_files_are_written_read_and_listed(host: Host, folder: Path) -> None:
    async with host("files") as client:
        root = (await answer(client, "files__list_allowed_directories")).splitlines()[-1]
        path = f"{root}/note.txt"
        assert path in await answer(client, "files__write_file", path=path, content="früh\nspät\n")
        assert await answer(client, "files__read_text_file", path=path) == "früh\nspät\n"
        assert "[FILE] note.txt" in await answer(client, "files__list_directory", path=root)
        assert Path(path).read_text(encoding="utf-8") == "früh\nspät\n"


async def test_a_path_outside_of_the_root_is_refused_in_the_servers_own_words(host: Host) -> None:
    async with host("files") as client:
        result = await client.call_tool("files__read_text_file", {"path": "/etc/hostname"})
        assert result.is_error
        assert "Access denied - path outside allowed directories: /etc/hostname not in " in said(result)


# memory


async def test_a_graph_is_written_and_searched_and_outlives_its_killed_server(
    host: Host, tmp_path: Path
) -> None:
    own_start = await seconds_to_start(servers(tmp_path)["graph"])
    async with host("graph") as client:
        made = {"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}
        await client.call_tool("graph__create_entities", {"entities": [made]})
        await kill(client, "graph")
        killed = time.monotonic()
        result = await client.call_tool("graph__search_nodes", {"query": "first program"})
        while result.is_error and time.monotonic() - killed < CALL_SECONDS:
            assert '"graph"' in said(result)
            await anyio.sleep(0.02)
            result = await client.call_tool("graph__search_nodes", {"query": "first program"})
        back = time.monotonic() - killed
        assert result.structured_content is not None
        assert result.structured_content["entities"] == [made]
        assert back < BACK_SECONDS + own_start


async def seconds_to_start(made: dict[str, Any]) -> float:
    """How long a server takes by itself until it has listed its tools, on this machine at this moment."""
    began = time.monotonic()
    parameters = StdioServerParameters(**{**made, "env": {**os.environ, **made.get("env", {})}})
    async with Client(parameters, mode="legacy") as direct:
        await direct.list_tools()
        return time.monotonic() - began


# everything


async def test_text_images_and_structured_content_arrive(host: Host) -> None:
    async with host("everything") as client:
        assert await answer(client, "everything__echo", message="håll") == "Echo: håll"
        assert await answer(client, "everything__get-sum", a=2, b=40) == "The sum of 2 and 40 is 42."
        image = (await client.call_tool("everything__get-tiny-image", {})).content[1]
        assert isinstance(image, t.ImageContent)
        assert (image.mime_type, image.data[:8]) == ("image/png", "iVBORw0K")
        weather = await client.call_tool("everything__get-structured-content", {"location": "Chicago"})
        assert weather.structured_content == json.loads(said(weather))
        assert weather.structured_content["conditions"] == "Light rain / drizzle"
        refused = await client.call_tool("everything__get-sum", {"a": "two", "b": 40})
        assert refused.is_error
        assert "Input validation error" in said(refused)


async def test_progress_of_a_long_operation_reaches_the_host(host: Host) -> None:
    reports: list[tuple[float, float | None]] = []

    async def report(done: float, total: float | None, message: str | None) -> None:
        reports.append((done, total))

    async with host("everything") as client:
        work = {"duration": 1, "steps": 4}
        result = await client.call_tool(
            "everything__trigger-long-running-operation", work, progress_callback=report
        )
        assert said(result) == "Long running operation completed. Duration: 1 seconds, Steps: 4."
        assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_a_cancelled_operation_ends_at_once_and_harms_nobody(host: Host) -> None:
    async with host("everything") as client:
        began = time.monotonic()
        with anyio.move_on_after(0.5) as scope:
            await client.call_tool("everything__trigger-long-running-operation", {"duration": 3, "steps": 3})
        assert scope.cancelled_caught
        assert await answer(client, "everything__echo", message="still here") == "Echo: still here"
        assert time.monotonic() - began < 3
        await anyio.sleep(3)  # until the server, which does not stop for a cancellation, has answered it
        assert await answer(client, "everything__echo", message="and now") == "Echo: and now"


async def test_the_host_samples_for_the_server(host: Host) -> None:
    async with host("everything", **ANSWERING) as client:
        text = await answer(client, "everything__trigger-sampling-request", prompt="the sea", maxTokens=10)
        assert "The model read: Resource trigger-sampling-request context: the sea" in text


async def test_the_host_asks_its_user_for_the_server(host: Host) -> None:
    async with host("everything", **ANSWERING) as client:
        result = await client.call_tool("everything__trigger-elicitation-request", {})
        texts = [block.text for block in result.content if isinstance(block, t.TextContent)]
        assert texts[1] == "User inputs:\n- Name: Ada Lovelace\n- Favorite Integer: 36"


async def test_the_hosts_roots_reach_the_server(host: Host) -> None:
    async with host("everything", **ANSWERING) as client:
        text = await answer(client, "everything__get-roots-list")
        assert "1. project\n   URI: file:///srv/project" in text


async def test_resources_and_those_of_a_template_are_read(host: Host) -> None:
    async with host("everything") as client:
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert "demo://resource/static/document/features.md" in uris
        read = await client.read_resource("demo://resource/static/document/features.md")
        assert "# " in read.contents[0].text  # type: ignore[union-attr]
        dynamic = await client.read_resource("demo://resource/dynamic/text/7")
        assert dynamic.contents[0].text.startswith("Resource 7: ")  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="nowhere"):
            await client.read_resource("demo://nowhere")


WATCHED = "demo://resource/static/document/features.md"


async def test_the_update_of_a_resource_is_told_to_who_subscribed(host: Host) -> None:
    told: list[str] = []
    came = anyio.Event()

    async def heard(message: object) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            told.append(str(message.params.uri))
            came.set()

    async with host("everything", message_handler=heard) as client:
        if client.protocol_version < "2026":
            await client.subscribe_resource(WATCHED)
            async with switched_on(client, "everything__toggle-subscriber-updates"):
                with anyio.fail_after(TOLD_SECONDS):
                    await came.wait()
            await client.unsubscribe_resource(WATCHED)
        else:
            async with client.listen(resource_subscriptions=[WATCHED]) as events:
                async with switched_on(client, "everything__toggle-subscriber-updates"):
                    with anyio.fail_after(TOLD_SECONDS):
                        event: Any = await anext(aiter(events))
                        told.append(str(event.uri))
        assert set(told) == {WATCHED}


@asynccontextmanager
async def switched_on(client: Client, switch: str) -> AsyncIterator[None]:
    """One of the server's switches, which know no other words than "the other way round"."""
    if "Started" not in await answer(client, switch):
        assert "Started" in await answer(client, switch)
    try:
        yield
    finally:
        assert "Stopped" in await answer(client, switch)


async def test_what_the_server_logs_during_a_call_reaches_the_host(host: Host) -> None:
    logged: list[t.LoggingMessageNotificationParams] = []
    came = anyio.Event()

    async def log(params: t.LoggingMessageNotificationParams) -> None:
        logged.append(params)
        came.set()

    async with host("everything", logging_callback=log, log_level="debug") as client:
        if client.protocol_version < "2026":
            await client.set_logging_level("debug")
        async with switched_on(client, "everything__toggle-simulated-logging"):
            with anyio.fail_after(TOLD_SECONDS):
                await came.wait()
        assert "level" in str(logged[0].data)


async def test_prompts_take_arguments_and_complete_them(host: Host) -> None:
    async with host("everything") as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert {"everything__simple-prompt", "everything__args-prompt"} <= set(names)
        got = await client.get_prompt("everything__args-prompt", {"city": "Oslo", "state": "Norway"})
        assert got.messages[0].content.text == "What's weather in Oslo, Norway?"  # type: ignore[union-attr]
        reference = t.PromptReference(name="everything__completable-prompt")
        first = await client.complete(reference, {"name": "department", "value": "S"})
        assert first.completion.values == ["Sales", "Support"]
        second = await client.complete(
            reference, {"name": "name", "value": "D"}, context_arguments={"department": "Sales"}
        )
        assert second.completion.values == ["David"]


# The server that knows the 2025 era only.


async def test_the_legacy_servers_tools_answer_and_its_refusals_arrive_as_they_are(
    host: Host, tmp_path: Path
) -> None:
    bad = {"timezone": "Middle/Earth"}
    made = servers(tmp_path)["time"]
    async with Client(StdioServerParameters(**made), mode="legacy") as direct:
        refused = await direct.call_tool("get_current_time", bad)
        lacking = await direct.call_tool("convert_time", {"time": "16:30"})
    assert refused.is_error
    async with host("time") as client:
        now = json.loads(await answer(client, "time__get_current_time", timezone="Asia/Tokyo"))
        assert now["datetime"].endswith("+09:00")
        assert (await state(client, "time"))["era"] == "2025"
        got = await client.call_tool("time__get_current_time", bad)
        assert (got.is_error, got.content) == (refused.is_error, refused.content)
        got = await client.call_tool("time__convert_time", {"time": "16:30"})
        assert (got.is_error, got.content) == (lacking.is_error, lacking.content)
