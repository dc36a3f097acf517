"""Both eras, all four cells: hosts of 2025 and 2026 in front of servers of 2025 and 2026.

Each test is one thing that crosses, and runs in every cell: with the registry in this process, behind
`pygent up` over HTTP, and in the column of 2025-era hosts behind `pygent serve` over stdio.

What the protocol has in one era only, and what stands in for it in the other:

    resources/subscribe, and listening     a host of 2025 subscribes, one of 2026 listens; the server is told
                                           in its own way
    logging/setLevel                       a server of 2026 is told the level of a host of 2025 with each
                                           request; a host of 2026 names it itself
    elicitationId of an address            made up for hosts of 2025, which must be sent one
    notifications/elicitation/complete     only where both are of 2025; it is not passed on in any cell, and
                                           hosts may not rely on it
    ping, roots/list_changed               belong to one hop, and are not passed on
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp.types as t
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PROGRAM = str(Path(sys.executable).with_name("pygent"))
MODES = {"2025": "legacy", "2026": "auto"}
CELLS = [(front, back) for front in MODES for back in MODES]
WAYS = [
    *(("memory", front, back) for front, back in CELLS),
    *(("http", front, back) for front, back in CELLS),
    *(("stdio", "2025", back) for back in MODES),
]
names = (f"n{number}" for number in count())


def era(which: str, **keys: Any) -> dict[str, Any]:
    """A config entry for `era_servers.py`, which may ask for everything."""
    ask = ["elicitation", "roots", "sampling"]
    return {"command": sys.executable, "args": [str(HERE / "era_servers.py"), which], "ask": ask, **keys}


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running `pygent up`."""

    url: str
    token: str


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for all tests of this module: they leave it as it was, but for names that no other test has."""
    folder = tmp_path_factory.mktemp("up")
    words = [PROGRAM, "up", "--port", "0", *_own(folder, *MODES)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            while not said or "bearer token" not in said[-1]:
                said.append(process.stderr.readline().rstrip("\n"))
                assert process.poll() is None, said
            url = next(line.split()[1] for line in said if line.startswith("Serving "))
            yield Up(url=url, token=Path(said[-1].rpartition(" in ")[2]).read_text().strip())
        finally:
            process.kill()


def _own(folder: Path, *backs: str) -> list[str]:
    config = folder / "pygent.json"
    servers = {f"of{back}": era(back) for back in backs}
    config.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    return ["--config", str(config), "--data-dir", str(folder / "data"), "--embedder", "none"]


class Cell:
    """A host of one era, a server of one, and a way from the one to the other."""

    def __init__(self, connected: Callable[..., Any], front: str, back: str) -> None:
        self.front, self.back, self.server = front, back, f"of{back}"
        self._connected = connected

    def __call__(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        found: AbstractAsyncContextManager[Client] = self._connected(mode=MODES[self.front], **options)
        return found

    def name(self, name: str) -> str:
        return f"{self.server}__{name}"


@pytest.fixture(params=WAYS, ids=[f"{way}-{front}-{back}" for way, front, back in WAYS])
def cell(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Cell:
    """`async with cell(**options) as client:`"""
    way, front, back = request.param
    running: Up | None = request.getfixturevalue("up") if way == "http" else None

    @asynccontextmanager
    async def in_memory(**options: Any) -> AsyncIterator[Client]:
        registry = Registry(parse({"mcpServers": {f"of{back}": era(back)}}), settings)
        async with Client(Gateway(registry), **options) as client:
            yield client

    @asynccontextmanager
    async def over_http(**options: Any) -> AsyncIterator[Client]:
        assert running is not None
        headers = {"Authorization": f"Bearer {running.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(running.url, http_client=http)
            async with Client(transport, **options) as client:
                yield client

    @asynccontextmanager
    async def over_stdio(**options: Any) -> AsyncIterator[Client]:
        words, env = ["serve", *_own(tmp_path, back)], {"PYTHONPATH": os.pathsep.join(sys.path)}
        parameters = StdioServerParameters(command=PROGRAM, args=words, env=env)
        async with Client(parameters, **options) as client:
            yield client

    return Cell({"memory": in_memory, "http": over_http, "stdio": over_stdio}[way], front, back)


def said(result: Any) -> Any:
    """The JSON that a tool answered."""
    return json.loads(result.content[0].text)


async def eventually(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not happened():
            await anyio.sleep(0.01)


# Tools.


async def test_a_result_arrives_with_its_structured_content_to_the_last_null(cell: Cell) -> None:
    async with cell() as client:
        result = await client.call_tool(cell.name("echo"), {"x": [1, {"y": None}]})
        assert said(result) == {"x": [1, {"y": None}]}
        assert result.structured_content == {"given": {"x": [1, {"y": None}]}, "null": None}


async def test_a_tools_refusal_arrives_as_its_result(cell: Cell) -> None:
    async with cell() as client:
        result: Any = await client.call_tool(cell.name("refuse"), {})
        assert (result.is_error, result.content[0].text) == (True, "not today")


async def test_a_protocol_error_arrives_with_code_message_and_data(cell: Cell) -> None:
    async with cell() as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool(cell.name("fail"), {})
        error = caught.value.error
        assert (error.code, error.message, error.data) == (-32050, "as ordered", {"why": [1, 2]})


async def test_every_report_of_progress_arrives_in_order_and_with_its_own_call(cell: Cell) -> None:
    reports: dict[str, list[Any]] = {"one": [], "two": []}

    async with cell() as client:

        async def counted(word: str) -> None:
            async def report(done: float, total: float | None, message: str | None) -> None:
                reports[word].append((done, total, message))

            await client.call_tool(cell.name("count"), {"to": 5, "word": word}, progress_callback=report)

        async with anyio.create_task_group() as tasks:
            for word in reports:
                tasks.start_soon(counted, word)
    for word, found in reports.items():
        assert found == [(done, 5, word) for done in range(1, 6)]


async def test_a_cancelled_call_is_cancelled_at_the_server_and_nothing_comes_after(cell: Cell) -> None:
    async with cell() as client:
        before = said(await client.call_tool(cell.name("cancelled"), {}))
        with anyio.move_on_after(0.3):
            await client.call_tool(cell.name("wait"), {})
        with anyio.fail_after(10):
            while said(await client.call_tool(cell.name("cancelled"), {})) != before + 1:
                await anyio.sleep(0.01)
        assert said(await client.call_tool(cell.name("echo"), {"x": 1})) == {"x": 1}


# What servers ask.

SAMPLING = {
    "method": "sampling/createMessage",
    "params": {
        "messages": [{"role": "user", "content": {"type": "text", "text": "hm?"}}],
        "maxTokens": 9,
    },
}
FORM = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "Which city?",
        "requestedSchema": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
URL = {
    "method": "elicitation/create",
    "params": {"mode": "url", "message": "Sign in.", "url": "https://example.com/in", "elicitationId": "e1"},
}
ROOTS = {"method": "roots/list"}


class Host:
    """Answers everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @property
    def answering(self) -> dict[str, Any]:
        return {
            "sampling_callback": self.sample,
            "elicitation_callback": self.elicit,
            "list_roots_callback": self.roots,
        }

    async def sample(self, context: object, params: Any) -> t.CreateMessageResult:
        self.asked.append(params)
        return t.CreateMessageResult(role="assistant", model="m", content=t.TextContent(text="yes"))

    async def elicit(self, context: object, params: Any) -> t.ElicitResult:
        self.asked.append(params)
        content = None if isinstance(params, t.ElicitRequestURLParams) else {"city": "Oslo"}
        return t.ElicitResult(action="accept", content=content)  # type: ignore[arg-type]

    async def roots(self, context: object) -> t.ListRootsResult:
        self.asked.append("roots")
        return t.ListRootsResult(roots=[t.Root(uri="file:///work", name="work")])  # type: ignore[arg-type]


async def test_a_server_has_the_hosts_model_say_something(cell: Cell) -> None:
    host = Host()
    async with cell(**host.answering) as client:
        answer = said(await client.call_tool(cell.name("ask"), SAMPLING))
    assert answer["content"]["text"] == "yes"
    assert host.asked[0].messages[0].content.text == "hm?"
    if cell.front == "2025":
        assert host.asked[0].meta["pygent/server"] == cell.server


async def test_a_server_has_the_user_fill_in_a_form_that_says_who_asks(cell: Cell) -> None:
    host = Host()
    async with cell(**host.answering) as client:
        answer = said(await client.call_tool(cell.name("ask"), FORM))
    assert (answer["action"], answer["content"]) == ("accept", {"city": "Oslo"})
    assert host.asked[0].message == f'Server "{cell.server}" asks: Which city?'


async def test_a_server_has_the_user_open_an_address_whose_host_is_shown(cell: Cell) -> None:
    host = Host()
    async with cell(**host.answering) as client:
        answer = said(await client.call_tool(cell.name("ask"), URL))
    assert answer["action"] == "accept"
    assert host.asked[0].url == "https://example.com/in"
    assert host.asked[0].message == f'Server "{cell.server}" asks you to open example.com: Sign in.'


async def test_a_server_is_told_the_hosts_roots(cell: Cell) -> None:
    async with cell(**Host().answering) as client:
        answer = said(await client.call_tool(cell.name("ask"), ROOTS))
    assert answer["roots"] == [{"uri": "file:///work", "name": "work"}]


@pytest.mark.parametrize("question", [SAMPLING, FORM, URL, ROOTS], ids=["sampling", "form", "url", "roots"])
async def test_what_a_host_cannot_answer_is_refused_at_once(cell: Cell, question: Any) -> None:
    """A server of 2025 is told so in its own call, and answers what it likes; one of 2026 should not have
    asked, so its call is refused.
    """
    async with cell() as client:
        with anyio.fail_after(10):
            if cell.back == "2025":
                answer = said(await client.call_tool(cell.name("ask"), question))
                assert answer["code"] == t.METHOD_NOT_FOUND
                assert "this host has not declared that it can answer" in answer["message"]
                return
            with pytest.raises(MCPError, match="has not declared") as caught:
                await client.call_tool(cell.name("ask"), question)
            assert caught.value.error.code == t.MISSING_REQUIRED_CLIENT_CAPABILITY


async def test_a_server_of_2026_is_told_each_hosts_capabilities(cell: Cell) -> None:
    """One of 2025 is told at the handshake what any host may have, and is refused what this one has not."""
    async with cell() as without, cell(**Host().answering) as having:
        less = said(await without.call_tool(cell.name("capabilities"), {}))
        more = said(await having.call_tool(cell.name("capabilities"), {}))
    assert set(more) >= {"sampling", "elicitation", "roots"}
    if cell.back == "2026":
        assert not less.keys() & {"sampling", "elicitation", "roots"}


# Resources, prompts, completion.


async def test_resources_and_templates_are_listed_and_read(cell: Cell) -> None:
    async with cell() as client:
        assert f"{cell.server}://fixed" in [found.uri for found in (await client.list_resources()).resources]
        templates = (await client.list_resource_templates()).resource_templates
        assert f"{cell.server}://made/{{name}}" in [found.uri_template for found in templates]
        for uri in (f"{cell.server}://fixed", f"{cell.server}://made/one"):
            read: Any = await client.read_resource(uri)
            assert read.contents[0].text == f"of {uri}"


async def test_who_wants_to_hear_of_a_resource_hears_that_it_changed_until_it_leaves(cell: Cell) -> None:
    updates: list[str] = []

    async def heard(message: Any) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            updates.append(str(message.params.uri))

    async def touched(client: Client) -> list[str]:
        found: list[str] = said(await client.call_tool(cell.name("touch"), {"uri": uri}))
        return found

    uri = f"{cell.server}://made/{next(names)}"
    async with cell(message_handler=heard) as client:
        assert uri not in await touched(client)
        if cell.front == "2025":
            await client.session.subscribe_resource(uri)
            await touched(client)
            await eventually(lambda: updates == [uri])
            await client.session.unsubscribe_resource(uri)
        else:
            async with client.listen(resource_subscriptions=[uri]) as events:
                await touched(client)
                with anyio.fail_after(10):
                    assert (await anext(aiter(events))).uri == uri  # type: ignore[union-attr]
        with anyio.fail_after(10):
            while uri in await touched(client):
                await anyio.sleep(0.01)


async def test_prompts_are_listed_and_filled_in(cell: Cell) -> None:
    async with cell() as client:
        assert cell.name("greet") in [prompt.name for prompt in (await client.list_prompts()).prompts]
        prompt: Any = await client.get_prompt(cell.name("greet"), {"who": "Ada"})
        assert prompt.messages[0].content.text == "Greet Ada."


async def test_arguments_of_prompts_and_templates_are_completed(cell: Cell) -> None:
    async with cell() as client:
        prompt = t.PromptReference(name=cell.name("greet"))
        found = await client.complete(prompt, {"name": "who", "value": "Ad"})
        assert found.completion.values == ["Ada", '{"type": "ref/prompt", "name": "greet"}']
        template = t.ResourceTemplateReference(uri=f"{cell.server}://made/{{name}}")
        assert (await client.complete(template, {"name": "name", "value": "a"})).completion.values[0] == "aa"


# What servers say by themselves.

LISTS = {
    "tools": (t.ToolListChangedNotification, "list_tools"),
    "prompts": (t.PromptListChangedNotification, "list_prompts"),
    "resources": (t.ResourceListChangedNotification, "list_resources"),
}


@pytest.mark.parametrize("kind", LISTS)
async def test_a_changed_list_is_announced_and_listed(cell: Cell, kind: str) -> None:
    notice, lister = LISTS[kind]
    name, told = next(names), anyio.Event()

    async def heard(message: Any) -> None:
        if isinstance(message, notice):
            told.set()

    async with cell(message_handler=heard) as client:
        before = {found.name for found in getattr(await getattr(client, lister)(), kind)}
        grow = {"kind": kind, "name": name}
        with anyio.fail_after(10):
            if cell.front == "2025":
                await client.call_tool(cell.name("grow"), grow)
                await told.wait()
            else:
                async with client.listen(**{f"{kind}_list_changed": True}) as events:  # type: ignore[arg-type]
                    await client.call_tool(cell.name("grow"), grow)
                    await anext(aiter(events))
        after = {found.name for found in getattr(await getattr(client, lister)(), kind)}
        assert after - before == {name if kind == "resources" else cell.name(name)}


async def test_a_log_message_reaches_the_host_of_its_call_that_asked_for_the_level(cell: Cell) -> None:
    messages: list[Any] = []

    async def logged(params: t.LoggingMessageNotificationParams) -> None:
        messages.append((params.level, params.data))

    async with cell(logging_callback=logged) as client:
        if cell.front == "2025":
            await client.session.set_logging_level("info")
            meta = None
        else:
            meta = {t.LOG_LEVEL_META_KEY: "info"}
        word = next(names)
        await client.call_tool(cell.name("log"), {"data": word}, meta=meta)  # type: ignore[arg-type]
        await eventually(lambda: messages == [("info", word)])
