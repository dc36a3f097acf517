"""What servers ask hosts: whether they may, how it is shown, whom it reaches, and who may answer."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp.types as t
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from pygent_registry import questions
from pygent_registry.config import parse
from pygent_registry.entry import Entry
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.status import STATUS_URI
from pygent_shared.errors import NotAllowed
from pygent_shared.http.app import build_app
from pygent_shared.http.keys import KeyFile
from pygent_shared.http.run import address, listen, running
from pygent_shared.seal import Seal
from pygent_shared.settings import Settings

from .programs import until

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
EVERYTHING = HERE.parent / "interop" / "everything.py"
MODES = {"2025": "legacy", "2026": "auto"}
CELLS = pytest.mark.parametrize(("front", "back"), [(front, back) for front in MODES for back in MODES])
BACKS = pytest.mark.parametrize("back", MODES)


def era(which: str, **keys: Any) -> dict[str, Any]:
    """A config entry for `era_servers.py`."""
    return {"command": sys.executable, "args": [str(HERE / "era_servers.py"), which], **keys}


def form(message: str = "Which city?", **fields: Any) -> dict[str, Any]:
    properties = fields or {"city": {"type": "string"}}
    schema = {"type": "object", "properties": properties}
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def url(where: str) -> dict[str, Any]:
    params = {"mode": "url", "message": "Sign in.", "url": where, "elicitationId": "e1"}
    return {"method": "elicitation/create", "params": params}


SAMPLING = {
    "method": "sampling/createMessage",
    "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "hm?"}}], "maxTokens": 9},
}


def said(result: Any) -> str:
    return str(result.content[0].text)


class User:
    """Answers a form with a city, when `ready`."""

    def __init__(self, city: str = "Oslo", ready: anyio.Event | None = None) -> None:
        self.city, self.ready = city, ready
        self.asked: list[str] = []

    async def __call__(self, context: object, params: Any) -> t.ElicitResult:
        self.asked.append(params.message)
        if self.ready is not None:
            await self.ready.wait()
        return t.ElicitResult(action="accept", content={"city": self.city})


async def sampled(context: object, params: t.CreateMessageRequestParams) -> t.CreateMessageResult:
    return t.CreateMessageResult(role="assistant", model="m", content=t.TextContent(text="yes"))


async def eventually(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not happened():
            await anyio.sleep(0.01)


# What may be asked.


@CELLS
async def test_the_hosts_model_is_for_servers_whose_entry_says_so(
    fronted: Any, front: str, back: str
) -> None:
    servers = {"no": era(back), "yes": era(back, ask=["sampling"]), "trusted": era(back, trusted=True)}
    async with fronted(servers, mode=MODES[front], sampling_callback=sampled) as client:
        refused = said(await client.call_tool("no__ask", SAMPLING))
        assert "asked for sampling, which it may not" in refused
        assert "in its entry of the config file" in refused
        for name in ("yes", "trusted"):
            assert '"yes"' in said(await client.call_tool(f"{name}__ask", SAMPLING))


@CELLS
async def test_what_a_server_may_ask_can_be_switched_off(fronted: Any, front: str, back: str) -> None:
    user = User()
    async with fronted({"a": era(back, ask=[])}, mode=MODES[front], elicitation_callback=user) as client:
        assert "asked for elicitation, which it may not" in said(await client.call_tool("a__ask", form()))
    assert user.asked == []


async def test_a_server_of_2026_is_not_told_of_what_it_may_not_ask(fronted: Any) -> None:
    async with fronted({"a": era("2026")}, sampling_callback=sampled, elicitation_callback=User()) as client:
        told = json.loads(said(await client.call_tool("a__capabilities", {})))
    assert set(told) == {"elicitation"}


async def test_an_entry_that_lets_a_server_ask_for_what_there_is_not_is_refused() -> None:
    (bad,) = parse({"mcpServers": {"a": {"command": "x", "ask": ["money"]}}}).bad
    assert 'a list of some of "elicitation", "roots" and "sampling"' in bad.why


@CELLS
async def test_a_form_that_asks_for_a_secret_is_refused(fronted: Any, front: str, back: str) -> None:
    user = User()
    async with fronted({"a": era(back)}, mode=MODES[front], elicitation_callback=user) as client:
        asked = form(api_key={"type": "string"})
        assert "which looks like a secret" in said(await client.call_tool("a__ask", asked))
    assert user.asked == []


@CELLS
async def test_an_address_that_is_none_of_the_web_is_refused(fronted: Any, front: str, back: str) -> None:
    user = User()
    async with fronted({"a": era(back)}, mode=MODES[front], elicitation_callback=user) as client:
        answer = said(await client.call_tool("a__ask", url("javascript:alert(1)")))
        assert "Only http:// and https:// addresses are shown" in answer
    assert user.asked == []


@CELLS
async def test_a_server_may_ask_only_so_often(
    fronted: Any, settings: Settings, front: str, back: str
) -> None:
    user = User()
    few = replace(settings, question_rate=12)
    async with fronted({"a": era(back)}, settings=few, mode=MODES[front], elicitation_callback=user) as host:
        answers = [said(await host.call_tool("a__ask", form())) for _ in range(3)]
    assert len(user.asked) == 2
    assert "at its limit of 12 questions a minute" in answers[2]


@pytest.mark.parametrize("front", MODES)
async def test_an_address_in_an_error_is_shown_like_one_that_is_asked(fronted: Any, front: str) -> None:
    def error(where: str) -> dict[str, Any]:
        asked = {"mode": "url", "message": "Sign in.", "url": where, "elicitationId": "e1"}
        return {"error": {"code": -32042, "message": "sign in first", "data": {"elicitations": [asked]}}}

    async with fronted({"a": era("2025")}, mode=MODES[front], elicitation_callback=User()) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("a__fail", error("https://example.com/in"))
        (asked,) = caught.value.error.data["elicitations"]
        assert (asked["url"], asked["elicitationId"]) == ("https://example.com/in", "e1")
        assert asked["message"] == 'Server "a" asks you to open example.com: Sign in.'
        assert "none of the web" in said(await client.call_tool("a__fail", error("javascript:alert(1)")))


ENTRY = Entry(name="a", kind="stdio", command="x")


@pytest.mark.parametrize(
    "asked",
    [
        form(password={"type": "string"}),
        form(githubToken={"type": "string"}),
        form(value={"type": "string", "title": "API key"}),
        form(value={"type": "string", "description": "Your one-time code"}),
        form(pin={"type": "integer"}),
        form(value={"type": "string", "format": "password"}),
        form("Please enter your passphrase", value={"type": "string"}),
        form(раsswоrd={"type": "string"}),
        url("ftp://example.com"),
        url("https://"),
        url("https://example.com\\@evil.example"),
        url("file:///etc/passwd"),
        url("https://exa mple.com"),
    ],
    ids=lambda asked: json.dumps(asked["params"].get("requestedSchema") or asked["params"]["url"])[:60],
)
def test_these_are_not_asked(asked: questions.Asked) -> None:
    with pytest.raises(NotAllowed):
        questions.check(ENTRY, asked)


@pytest.mark.parametrize(
    "asked",
    [
        form(city={"type": "string"}, max_tokens={"type": "integer"}),
        form("Reset the password of Ada?", sure={"type": "boolean"}),
        form(kind={"type": "string", "enum": ["password", "token"]}),
        form(contact={"type": "string", "format": "email"}),
        form(author={"type": "string", "description": "Who keyed it in"}),
        url("http://127.0.0.1:8000/in?state=x#y"),
    ],
)
def test_these_are_asked(asked: questions.Asked) -> None:
    questions.check(ENTRY, asked)


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("https://github.com@evil.example/in", "evil.example"),
        ("https://github.com.evil.example:8443/", "github.com.evil.example"),
        ("https://gіthub.com/", "gіthub.com (xn--gthub-n2e.com)"),
    ],
)
def test_the_host_that_is_shown_is_the_one_that_would_be_opened(where: str, shown: str) -> None:
    message = questions.labelled("a", url(where))["params"]["message"]
    assert message == f'Server "a" asks you to open {shown}: Sign in.'


def test_a_question_is_shown_without_what_nobody_sees() -> None:
    message = questions.labelled("a", form("Which\u202e city?\x1b[31m"))["params"]["message"]
    assert message == 'Server "a" asks: Which city?'


# How long.


@CELLS
async def test_a_call_does_not_run_out_of_time_while_the_user_thinks(
    fronted: Any, front: str, back: str
) -> None:
    async def slow(context: object, params: Any) -> t.ElicitResult:
        await anyio.sleep(1.2)
        return t.ElicitResult(action="accept", content={"city": "Oslo"})

    servers = {"a": era(back, timeout=0.6)}
    async with fronted(servers, mode=MODES[front], elicitation_callback=slow) as client:
        await client.list_tools()
        assert "Oslo" in said(await client.call_tool("a__ask", form()))
        assert "no progress for 0.6 s" in said(await client.call_tool("a__wait", {}))


@BACKS
async def test_a_user_who_never_answers_ends_the_call_at_its_maximum(
    fronted: Any, settings: Settings, back: str
) -> None:
    user = User(ready=anyio.Event())
    short = replace(settings, call_maximum=1.0)
    async with fronted({"a": era(back)}, settings=short, mode="legacy", elicitation_callback=user) as client:
        with anyio.fail_after(10):
            assert "took more than the 1 s" in said(await client.call_tool("a__ask", form()))


@BACKS
async def test_a_question_that_nobody_answers_in_time_is_taken_back(
    fronted: Any, settings: Settings, back: str
) -> None:
    user = User(ready=anyio.Event())
    short = replace(settings, answer_patience=0.4)
    async with fronted({"a": era(back)}, settings=short, mode="legacy", elicitation_callback=user) as client:
        with anyio.fail_after(10):
            try:
                answer = said(await client.call_tool("a__ask", form()))
            except MCPError as error:
                answer = error.error.message
    assert "nobody answered" in answer


async def test_progress_sets_the_time_limit_anew(fronted: Any) -> None:
    drip = {"command": sys.executable, "args": [str(HERE / "policy_servers.py"), "legacy"], "timeout": 0.5}
    reports: list[float] = []

    async def report(done: float, total: float | None, message: str | None) -> None:
        reports.append(done)

    async with fronted({"a": drip}) as client:
        await client.list_tools()
        with anyio.move_on_after(1.5):
            await client.call_tool("a__drip", {}, progress_callback=report)
    assert len(reports) > 10  # at 20 a second: it was let go on for longer than its limit


# Who may answer.


async def call(
    client: Client, tool: str, arguments: dict[str, Any], state: str | None = None, key: str = ""
) -> Any:
    """One round of a host of 2026 that answers by hand."""
    answer: Any = {key: t.ElicitResult(action="accept", content={"city": "Oslo"})} if state else None
    return await client.session.call_tool(
        tool, arguments, input_responses=answer, request_state=state, allow_input_required=True
    )


@BACKS
async def test_an_answer_is_taken_for_the_very_call_that_was_asked(fronted: Any, back: str) -> None:
    servers = {"a": era(back), "b": era(back)}
    async with fronted(servers, elicitation_callback=User()) as client:
        asked = await call(client, "a__ask", form())
        (key,) = asked.input_requests
        for tool, arguments in (("a__ask", form("Where?")), ("b__ask", form()), ("a__echo", form())):
            with pytest.raises(MCPError, match="is of another call; make the call anew") as caught:
                await call(client, tool, arguments, asked.request_state, key)
            assert caught.value.error.code == t.INVALID_PARAMS
        assert "Oslo" in said(await call(client, "a__ask", form(), asked.request_state, key))


async def test_a_parked_call_goes_on_once(fronted: Any) -> None:
    async with fronted({"a": era("2025")}, elicitation_callback=User()) as client:
        asked = await call(client, "a__ask", form())
        (key,) = asked.input_requests
        assert len(asked.request_state) * 6 >= 128
        with pytest.raises(MCPError, match="inputResponses lacks the answer"):
            await call(client, "a__ask", form(), asked.request_state, "other")
        assert "Oslo" in said(await call(client, "a__ask", form(), asked.request_state, key))
        with pytest.raises(MCPError, match="is unknown, has expired"):
            await call(client, "a__ask", form(), asked.request_state, key)


async def test_a_parked_call_that_nobody_comes_back_for_is_cancelled_at_its_server(
    fronted: Any, settings: Settings
) -> None:
    short = replace(settings, answer_patience=0.3)
    async with fronted({"a": era("2025")}, settings=short, elicitation_callback=User()) as client:
        asked = await call(client, "a__ask", form())
        await anyio.sleep(0.6)
        assert said(await client.call_tool("a__cancelled", {})) == "1"
        with pytest.raises(MCPError, match="has expired"):
            await call(client, "a__ask", form(), asked.request_state, *asked.input_requests)


async def test_a_caller_has_only_so_many_parked_calls(
    fronted: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = replace(settings, question_rate=0)
    async with fronted({"a": era("2025")}, settings=many, elicitation_callback=User()) as client:
        for _ in range(64):
            asked = await call(client, "a__ask", form())
        refused = await call(client, "a__ask", form())
        assert 'The caller "stdio" is at its limit of 64 calls that wait for answers' in said(refused)
        answered = await call(client, "a__ask", form(), asked.request_state, *asked.input_requests)
        assert "Oslo" in said(answered)


@pytest.fixture
def over_http(settings: Settings) -> Any:
    """`connect(servers)` gives `host(name, **options)`: callers with a key of that name."""

    @asynccontextmanager
    async def connect(servers: dict[str, Any], settings: Settings = settings) -> AsyncIterator[Any]:
        registry = Registry(parse({"mcpServers": servers}), settings)
        listener = listen(settings)
        keys = {name: KeyFile(settings).add(name)[1] for name in ("ada", "bob", "eve")}
        app = build_app({"/mcp": Gateway(registry)}, settings, settings.token)

        @asynccontextmanager
        async def host(name: str, **options: Any) -> AsyncIterator[Client]:
            headers = {"Authorization": f"Bearer {keys[name]}"}
            async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
                transport = streamable_http_client(f"{address(listener)}/mcp", http_client=http)
                async with Client(transport, **options) as client:
                    yield client

        async with running(app, listener):
            yield host

    return connect


@BACKS
async def test_what_one_caller_was_asked_another_cannot_answer(over_http: Any, back: str) -> None:
    async with over_http({"a": era(back)}) as host:
        async with host("ada", elicitation_callback=User()) as ada, host("eve") as eve:
            asked = await call(ada, "a__ask", form())
            (key,) = asked.input_requests
            with pytest.raises(MCPError, match="is of another call") as caught:
                await call(eve, "a__ask", form(), asked.request_state, key)
            assert caught.value.error.code == t.INVALID_PARAMS
            assert "Oslo" in said(await call(ada, "a__ask", form(), asked.request_state, key))


async def test_a_sealed_state_outlives_a_restart_and_no_change(tmp_path: Path) -> None:
    sealed = Seal(tmp_path / "data" / "state.key").seal("mine", "bound", until=100)
    again = Seal(tmp_path / "data" / "state.key")
    assert again.open(sealed, "bound", now=99) == "mine"
    assert again.open(sealed, "bound", now=101) is None
    assert again.open(sealed, "other", now=99) is None
    assert again.open(f"{sealed}!", "bound", now=99) is None
    assert again.open("A" + sealed[1:], "bound", now=99) is None or sealed[0] == "A"
    assert (tmp_path / "data" / "state.key").stat().st_mode & 0o777 == 0o600


# Whom it reaches.


async def test_a_question_over_a_pipe_never_reaches_another_hosts_user(over_http: Any) -> None:
    """The first time nobody can tell; from then on the server has one host at a time."""
    ada, bob = User("Rome"), User("Lima")
    async with over_http({"a": era("2025")}) as host:
        async with (
            host("ada", mode="legacy", elicitation_callback=ada) as first,
            host("bob", mode="legacy", elicitation_callback=bob) as second,
        ):
            await first.list_tools()
            await second.list_tools()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first.call_tool, "a__wait", {})
                await anyio.sleep(0.2)
                answer = said(await second.call_tool("a__ask", form()))
                assert "calls of several hosts are in flight, so nobody can tell whom to ask" in answer
                tasks.cancel_scope.cancel()
            found: dict[str, list[str]] = {"Rome": [], "Lima": []}

            async def asks(client: Client, city: str) -> None:
                for _ in range(3):
                    found[city].append(said(await client.call_tool("a__ask", form())))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asks, first, "Rome")
                tasks.start_soon(asks, second, "Lima")
    for city, answers in found.items():
        assert len(answers) == 3
        assert all(city in answer for answer in answers)


async def test_who_waits_too_long_for_another_hosts_user_is_told_so(
    over_http: Any, settings: Settings
) -> None:
    thinking = User(ready=anyio.Event())
    impatient = replace(settings, queue_patience=0.3)
    async with over_http({"a": era("2025")}, impatient) as host:
        async with (
            host("ada", mode="legacy", elicitation_callback=thinking) as first,
            host("bob", mode="legacy") as second,
        ):
            await second.list_tools()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first.call_tool, "a__ask", form())
                await eventually(lambda: len(thinking.asked) == 1)
                refused = said(await second.call_tool("a__echo", {}))
                assert (
                    'Server "a" is at its limit of one host at a time, because it asks questions' in refused
                )
                tasks.cancel_scope.cancel()


@pytest.fixture
def everything_over_http(tmp_path: Path) -> Any:
    """The address of the fixture server of the conformance suite, over HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, str(EVERYTHING), "http", str(port)]) as process:
        try:
            assert until(lambda: listens(port), 30)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_over_http_each_question_reaches_the_host_of_its_call(
    over_http: Any, everything_over_http: str
) -> None:
    """Both are asked before either answers."""
    both = anyio.Event()
    users = {"Rome": User("Rome", both), "Lima": User("Lima", both)}
    answers: dict[str, str] = {}

    async def asks(client: Client, city: str) -> None:
        answers[city] = said(await client.call_tool("a__test_elicitation", {"message": f"You of {city}?"}))

    async with over_http({"a": {"url": everything_over_http}}) as host:
        async with (
            host("ada", mode="legacy", elicitation_callback=users["Rome"]) as first,
            host("bob", mode="legacy", elicitation_callback=users["Lima"]) as second,
        ):
            with anyio.fail_after(30):
                while not (await first.list_tools()).tools:
                    await anyio.sleep(0.1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asks, first, "Rome")
                tasks.start_soon(asks, second, "Lima")
                await eventually(lambda: all(len(user.asked) == 1 for user in users.values()))
                both.set()
    for city, user in users.items():
        assert user.asked == [f'Server "a" asks: You of {city}?']


async def test_a_question_ends_with_its_call(fronted: Any) -> None:
    """The server is told, and the next question reaches the user."""
    user = User(ready=anyio.Event())
    async with fronted({"a": era("2025")}, mode="legacy", elicitation_callback=user) as client:
        await client.list_tools()
        with anyio.move_on_after(0.4):
            await client.call_tool("a__ask", form())
        assert user.ready is not None
        user.ready.set()
        with anyio.fail_after(10):
            assert "Oslo" in said(await client.call_tool("a__ask", form()))


# Links.


@CELLS
async def test_a_link_to_what_was_never_listed_is_read_at_the_server_that_gave_it(
    fronted: Any, front: str, back: str
) -> None:
    servers = {"other": era(back), "a": era(back)}
    async with fronted(servers, mode=MODES[front]) as client:
        with pytest.raises(MCPError):
            await client.read_resource("secret://x")
        linked = (await client.call_tool("a__link", {"uri": "secret://x"})).content[0].uri
        read = await client.read_resource(linked)
        assert (linked, read.contents[0].text) == ("secret://x", "of secret://x")


async def test_a_link_to_anothers_address_is_read_at_the_server_that_gave_it(fronted: Any) -> None:
    servers = {"old": era("2025"), "new": era("2026")}
    async with fronted(servers) as client:
        linked = (await client.call_tool("new__link", {"uri": "of2025://fixed"})).content[0].uri
        assert linked.startswith("pygent://links/")
        assert (await client.call_tool("new__link", {"uri": "of2025://fixed"})).content[0].uri == linked
        read = await client.read_resource(linked)
        assert read.contents[0].text == "of of2025://fixed"
        own = (await client.call_tool("old__link", {"uri": "of2025://fixed"})).content[0].uri
        assert own == "of2025://fixed"


async def test_of_two_servers_that_link_to_one_address_each_is_read_at_its_own(fronted: Any) -> None:
    async with fronted({"a": era("2025"), "b": era("2025")}) as client:
        first = (await client.call_tool("a__link", {"uri": "doc://1"})).content[0].uri
        second = (await client.call_tool("b__link", {"uri": "doc://1"})).content[0].uri
        assert (first, second.startswith("pygent://links/")) == ("doc://1", True)
        assert (await client.read_resource(second)).contents[0].text == "of doc://1"


async def test_one_callers_links_are_not_anothers(over_http: Any) -> None:
    async with over_http({"a": era("2025")}) as host:
        async with host("ada") as ada, host("eve") as eve:
            await ada.call_tool("a__link", {"uri": "secret://x"})
            assert (await ada.read_resource("secret://x")).contents[0].text == "of secret://x"
            with pytest.raises(MCPError, match="There is no resource"):
                await eve.read_resource("secret://x")


# Subscriptions.


async def test_an_address_of_ours_can_be_listened_to_and_an_unknown_one_is_refused(fronted: Any) -> None:
    async with fronted({"a": era("2025")}) as client:
        async with client.listen(resource_subscriptions=[STATUS_URI, "of2025://fixed"]):
            assert json.loads(said(await client.call_tool("a__touch", {"uri": "x"}))) == ["of2025://fixed"]
        with pytest.raises(MCPError, match='There is no resource "nowhere://x"'):
            async with client.listen(resource_subscriptions=["nowhere://x"]):
                pass


async def test_who_hears_of_a_resource_is_not_cut_off_by_another_who_leaves(over_http: Any) -> None:
    updates: list[str] = []

    async def heard(message: Any) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            updates.append(str(message.params.uri))

    uri = "of2025://fixed"
    async with over_http({"a": era("2025")}) as host:
        async with host("ada", mode="legacy", message_handler=heard) as stays:
            async with host("bob", mode="legacy") as leaves:
                for client in (stays, leaves):
                    await client.session.subscribe_resource(uri)
                await leaves.session.unsubscribe_resource(uri)
            assert json.loads(said(await stays.call_tool("a__touch", {"uri": uri}))) == [uri]
            await eventually(lambda: updates == [uri])


# Headers.


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        ({"Mcp-Method": "tools/list"}, "2026-07-28"),
        ({"Mcp-Name": "echo"}, "2026-07-28"),
        ({"Mcp-Name": "a__refuse"}, "2026-07-28"),
        ({}, "2025-11-25"),
    ],
    ids=["method", "name at the server", "another name", "version"],
)
async def test_a_header_that_says_otherwise_than_the_body_is_refused(
    settings: Settings, changed: dict[str, str], version: str
) -> None:
    registry = Registry(parse({"mcpServers": {"a": era("2026")}}), settings)
    listener = listen(settings)
    meta = {
        t.CLIENT_INFO_META_KEY: {"name": "test", "version": "0"},
        t.CLIENT_CAPABILITIES_META_KEY: {},
    }
    params = {"name": "a__echo", "arguments": {}}
    right = {
        "Authorization": f"Bearer {settings.token}",
        "Accept": "application/json, text/event-stream",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "a__echo",
        "MCP-Protocol-Version": "2026-07-28",
    }
    async with running(build_app({"/mcp": Gateway(registry)}, settings, settings.token), listener):
        async with httpx2.AsyncClient(base_url=address(listener), timeout=30) as http:

            async def post(headers: dict[str, str], version: str) -> httpx2.Response:
                own = {"_meta": {**meta, t.PROTOCOL_VERSION_META_KEY: version}}
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, **own}}
                return await http.post("/mcp", json=body, headers=headers)

            assert (await post(right, "2026-07-28")).status_code == 200
            refused = await post({**right, **changed}, version)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == -32020, refused.text
