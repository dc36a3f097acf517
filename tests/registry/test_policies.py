"""What is done to calls on their way, over real servers: hosts of both eras before servers of both."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp.types as t
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from pygent_registry import chain
from pygent_registry.cli import main
from pygent_registry.config import parse
from pygent_registry.endpoint import gateways
from pygent_registry.gateway import Gateway
from pygent_registry.journal import NAME
from pygent_registry.registry import Registry
from pygent_shared.errors import InvalidArgument
from pygent_shared.http.app import build_app
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SECRET = "correct-horse-battery"

CELLS = pytest.mark.parametrize(
    ("mode", "era"), [("legacy", "legacy"), ("legacy", "modern"), ("auto", "legacy"), ("auto", "modern")]
)


def tools(era: str, **keys: Any) -> dict[str, Any]:
    """A config entry for `policy_servers.py`."""
    return {"command": sys.executable, "args": [str(HERE / "policy_servers.py"), era], **keys}


def said(result: Any) -> str:
    return str(result.content[0].text)


def records(settings: Settings) -> list[dict[str, Any]]:
    lines = (settings.data_dir / NAME).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class User:
    """Answers a host's questions to its user, and counts them."""

    def __init__(self, action: Any) -> None:
        self.action = action
        self.asked: list[str] = []

    async def __call__(self, context: object, params: Any) -> t.ElicitResult:
        self.asked.append(params.message)
        return t.ElicitResult(action=self.action, content={} if self.action == "accept" else None)


async def sampled(context: object, params: t.CreateMessageRequestParams) -> t.CreateMessageResult:
    return t.CreateMessageResult(role="assistant", model="m", content=t.TextContent(text="yes"))


# Allowed and denied.


@CELLS
async def test_a_denied_tool_is_neither_shown_nor_called(fronted: Any, mode: str, era: str) -> None:
    servers = {"a": tools(era, allow=["read", "w*"], deny=["wr*"])}
    async with fronted(servers, mode=mode) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["a__read", "a__wait"]
        refused = await client.call_tool("a__write", {})
        assert refused.is_error
        assert "a__write" in said(refused)
        assert not (await client.call_tool("a__read", {})).is_error


@CELLS
async def test_rules_name_a_tool_with_an_alias_as_its_server_does(fronted: Any, mode: str, era: str) -> None:
    aliases = {"read": "look", "write": "put", "wait": "linger"}
    rules = {"allow": ["read", "w*", "look"], "deny": ["write"], "approve": ["wait"]}
    async with fronted({"a": tools(era, aliases=aliases, **rules)}, mode=mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["look", "linger"]
        assert said(await client.call_tool("look", {})) == "1"
        assert "needs the user's approval" in said(await client.call_tool("linger", {}))
        for hidden in ("put", "a__write", "a__read"):
            assert (await client.call_tool(hidden, {})).is_error


async def test_a_list_without_what_nobody_may_call_is_the_same_for_all(fronted: Any) -> None:
    async with fronted({"a": tools("modern", deny=["w*"])}, mode="auto") as client:
        assert (await client.list_tools()).cache_scope == "public"


# Limits.


@CELLS
async def test_a_server_is_given_no_more_at_once_than_its_concurrency(
    fronted: Any, mode: str, era: str
) -> None:
    most: list[int] = []

    async def hold(client: Client) -> None:
        most.append(int(said(await client.call_tool("a__hold", {}))))

    async with fronted({"a": tools(era, concurrency=2)}, mode=mode) as client:
        await client.list_tools()
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(hold, client)
    assert max(most) == 2


async def test_who_waits_too_long_for_a_turn_is_told_to_try_again(fronted: Any, settings: Settings) -> None:
    impatient = replace(settings, queue_patience=0.2)
    async with fronted({"a": tools("legacy", concurrency=1)}, settings=impatient) as client:
        await client.list_tools()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "a__wait", {})
            with anyio.fail_after(5):
                while "at its limit of 1 requests at once. Try again in 0.2 s" not in said(
                    await client.call_tool("a__echo", {})
                ):
                    pass
            tasks.cancel_scope.cancel()
        assert not (await client.call_tool("a__echo", {})).is_error


@CELLS
async def test_a_caller_over_its_rate_is_told_when_to_try_again(
    fronted: Any, settings: Settings, mode: str, era: str
) -> None:
    limited = replace(settings, caller_rate=12)
    async with fronted({"a": tools(era)}, settings=limited, mode=mode) as client:
        answers = [await client.call_tool("a__echo", {}) for _ in range(4)]
        assert [answer.is_error for answer in answers] == [False, False, True, True]
        assert 'The caller "stdio" is at its limit of 12 requests a minute. Try again in' in said(answers[2])


async def test_a_servers_rate_is_its_own(fronted: Any, settings: Settings) -> None:
    servers = {"a": tools("legacy"), "b": tools("legacy")}
    async with fronted(servers, settings=replace(settings, server_rate=6)) as client:
        assert not (await client.call_tool("a__echo", {})).is_error
        assert 'Server "a" is at its limit' in said(await client.call_tool("a__echo", {}))
        assert not (await client.call_tool("b__echo", {})).is_error


async def test_fronts_of_one_registry_share_its_limits(settings: Settings) -> None:
    config = parse({"mcpServers": {"a": tools("legacy")}})
    registry = Registry(config, replace(settings, server_rate=6))
    every, alone = gateways(registry).values()
    async with registry.running():
        async with Client(every) as first, Client(alone) as second:
            assert not (await first.call_tool("a__echo", {})).is_error
            assert "at its limit" in said(await second.call_tool("echo", {}))


@CELLS
async def test_a_tool_has_a_time_limit_of_its_own(fronted: Any, mode: str, era: str) -> None:
    async with fronted({"a": tools(era, timeout=60, timeouts={"wa*": 0.3})}, mode=mode) as client:
        with anyio.fail_after(10):
            result = await client.call_tool("a__wait", {})
    assert "no progress for 0.3 s" in said(result)


@CELLS
async def test_progress_does_not_extend_the_maximum(
    fronted: Any, settings: Settings, mode: str, era: str
) -> None:
    entry = tools(era, timeouts={"drip": 0.3})
    async with fronted({"a": entry}, settings=replace(settings, call_maximum=1.0), mode=mode) as client:
        with anyio.fail_after(10):
            result = await client.call_tool("a__drip", {}, progress_callback=_nothing)
    assert "took more than the 1 s that a__drip may take in all" in said(result)


async def _nothing(done: float, total: float | None, message: str | None) -> None:
    return None


# Large results.


@CELLS
async def test_a_large_result_is_cut_and_the_whole_can_be_read(fronted: Any, mode: str, era: str) -> None:
    async with fronted({"a": tools(era, maxResultBytes=2000)}, mode=mode) as client:
        result = await client.call_tool("a__big", {"bytes": 100_000})
        text, link = result.content
        assert len(result.model_dump_json().encode()) < 3000
        assert text.text.startswith("aéé")
        assert text.text.endswith("ééz")
        assert f"The whole is the resource {link.uri}" in text.text
        whole = (await client.read_resource(link.uri)).contents[0]
        assert whole.text == "a" + "é" * 50_000 + "z"  # type: ignore[union-attr]


@CELLS
async def test_structured_content_that_is_cut_still_fits_its_schema(
    fronted: Any, mode: str, era: str
) -> None:
    async with fronted({"a": tools(era, maxResultBytes=4000)}, mode=mode) as client:
        await client.list_tools()  # so that the client knows the schema, and checks it
        result = await client.call_tool("a__rows", {"rows": 5000})
        assert result.structured_content["total"] == 5000
        assert 0 < len(result.structured_content["rows"]) < 5000
        whole = (await client.read_resource(result.content[-1].uri)).contents[-1]
        assert len(json.loads(whole.text)["rows"]) == 5000  # type: ignore[union-attr]


async def test_a_result_is_not_read_under_a_guessed_address(fronted: Any) -> None:
    async with fronted({"a": tools("legacy")}) as client:
        with pytest.raises(MCPError, match="address of no result that is kept") as caught:
            await client.read_resource("pygent://results/guessed")
    assert caught.value.error.code == t.INVALID_PARAMS


# Secrets.


@CELLS
async def test_secrets_are_taken_out_of_results_and_errors(fronted: Any, mode: str, era: str) -> None:
    async with fronted({"a": tools(era, env={"API_KEY": SECRET})}, mode=mode) as client:
        result = await client.call_tool("a__leak", {})
        assert said(result) == "the key is [secret]!"
        assert result.structured_content == {"said": "the key is [secret]!", "null": None}
        with pytest.raises(MCPError) as caught:
            await client.call_tool("a__fail", {})
        assert caught.value.error.message == "no: [secret]"
        assert caught.value.error.code == -32050


async def test_one_servers_secret_is_hidden_in_what_another_answers(fronted: Any) -> None:
    servers = {"a": tools("legacy", env={"API_KEY": SECRET}), "b": tools("legacy")}
    async with fronted(servers) as client:
        echoed = await client.call_tool("b__echo", {"found": SECRET})
    assert said(echoed) == '{"found": "[secret]"}'


# Cache.


@CELLS
async def test_reads_are_answered_again_until_something_is_written(fronted: Any, mode: str, era: str) -> None:
    async with fronted({"a": tools(era, cache=60, trusted=True)}, mode=mode) as client:

        async def read(**arguments: Any) -> str:
            return said(await client.call_tool("a__read", arguments))

        assert [await read(), await read(), await read(x=1), await read()] == ["1", "1", "2", "1"]
        await client.call_tool("a__write", {})
        assert await read() == "3"


async def test_a_server_that_is_not_trusted_is_asked_every_time(fronted: Any) -> None:
    async with fronted({"a": tools("legacy", cache=60)}) as client:
        assert [said(await client.call_tool("a__read", {})) for _ in range(2)] == ["1", "2"]


async def test_a_cached_answer_grows_old(fronted: Any) -> None:
    async with fronted({"a": tools("legacy", cache=0.05, trusted=True)}) as client:
        with anyio.fail_after(5):
            while said(await client.call_tool("a__read", {})) == "1":
                pass


# Approval.


@CELLS
async def test_the_user_is_asked_before_each_call(fronted: Any, mode: str, era: str) -> None:
    user = User("accept")
    servers = {"a": tools(era, approve=["wr*"], env={"API_KEY": SECRET})}
    async with fronted(servers, mode=mode, elicitation_callback=user) as client:
        for _ in range(2):
            assert said(await client.call_tool("a__write", {"to": "x", "key": SECRET})) == "written"
        await client.call_tool("a__echo", {})
    asked = 'Let "a__write" of the server "a" be called with {"to": "x", "key": "[secret]"}?'
    assert user.asked == [asked, asked]


@CELLS
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_what_the_user_does_not_agree_to_is_not_called(
    fronted: Any, mode: str, era: str, action: str
) -> None:
    servers = {"a": tools(era, approve=["read"])}
    user = User(action)
    async with fronted(servers, mode=mode, elicitation_callback=user) as client:
        refused = await client.call_tool("a__read", {})
        assert refused.is_error
        assert "was not called" in said(refused)
        user.action = "accept"
        assert said(await client.call_tool("a__read", {})) == "1"


@CELLS
async def test_a_host_that_cannot_ask_is_refused_with_a_cure(fronted: Any, mode: str, era: str) -> None:
    async with fronted({"a": tools(era, approve=["*"])}, mode=mode) as client:
        refused = await client.call_tool("a__write", {})
    assert refused.is_error
    assert "this host cannot ask its user (it has no elicitation). Use a host that can" in said(refused)


@CELLS
async def test_a_server_that_asks_something_itself_does_not_have_the_user_asked_twice(
    fronted: Any, mode: str, era: str
) -> None:
    user = User("accept")
    options = {"elicitation_callback": user, "sampling_callback": sampled}
    async with fronted({"a": tools(era, approve=["ask"], ask=["sampling"])}, mode=mode, **options) as client:
        assert said(await client.call_tool("a__ask", {})) == "the model said yes"
    assert len(user.asked) == 1


async def test_an_approval_is_good_for_one_call_with_the_same_arguments(fronted: Any) -> None:
    servers = {"a": tools("modern", approve=["write"])}
    async with fronted(servers, mode="auto", elicitation_callback=User("accept")) as client:
        session = client.session

        async def call(arguments: dict[str, Any], state: str | None = None) -> Any:
            yes: Any = {"approval": t.ElicitResult(action="accept", content={})} if state else None
            return await session.call_tool(
                "a__write", arguments, input_responses=yes, request_state=state, allow_input_required=True
            )

        asked = await call({"to": "x"})
        assert "is of another call" in said(await call({"to": "y"}, asked.request_state))
        assert said(await call({"to": "x"}, asked.request_state)) == "written"
        assert "has expired" in said(await call({"to": "x"}, asked.request_state))


# Audit.


@CELLS
async def test_each_call_leaves_a_record_in_a_whole_chain(
    fronted: Any, settings: Settings, mode: str, era: str
) -> None:
    async with fronted({"a": tools(era)}, mode=mode) as client:
        await client.call_tool("a__echo", {"x": 1})
        with suppress(MCPError):
            await client.call_tool("a__nothing", {})
        with anyio.move_on_after(0.3):
            await client.call_tool("a__wait", {})
        await client.call_tool("a__echo", {"x": 1})
    first, unknown, waited, last = records(settings)
    assert (first["who"], first["server"], first["name"], first["outcome"]) == ("stdio", "a", "a__echo", "ok")
    assert first["arguments"] == chain.fingerprint({"x": 1}) == last["arguments"]
    assert first["bytes"] > 50
    assert first["ms"] >= 0
    assert (unknown["server"], unknown["outcome"]) == ("", "refused by UnknownName")
    assert waited["outcome"] == "cancelled"
    found = chain.verify((settings.data_dir / NAME).read_text().splitlines())
    assert (found.records, found.broken, found.last) == (4, "", last["hash"])


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_over_http_a_caller_is_known_and_reads_its_own_results(settings: Settings, mode: Any) -> None:
    registry = Registry(parse({"mcpServers": {"a": tools("legacy", maxResultBytes=2000)}}), settings)
    listener = listen(settings)
    async with running(build_app({"/mcp": Gateway(registry)}, settings, settings.token), listener):
        headers = {"Authorization": f"Bearer {settings.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(f"{address(listener)}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                result = await client.call_tool("a__big", {"bytes": 10_000})
                link: Any = result.content[-1]
                whole: Any = (await client.read_resource(link.uri)).contents[0]
                assert len(whole.text) == 5002
    with pytest.raises(InvalidArgument):
        registry.results.read("stdio", link.uri)
    assert records(settings)[0]["who"] == "token"


async def test_the_record_is_for_its_owners_eyes(fronted: Any, settings: Settings) -> None:
    async with fronted({"a": tools("legacy")}) as client:
        await client.call_tool("a__echo", {})
    assert stat.S_IMODE((settings.data_dir / NAME).stat().st_mode) == 0o600


async def test_arguments_are_recorded_without_secrets_where_they_are_wanted(
    fronted: Any, settings: Settings
) -> None:
    servers = {"a": tools("legacy", env={"API_KEY": SECRET}, deny=["write"])}
    async with fronted(servers, settings=replace(settings, audit="arguments")) as client:
        await client.call_tool("a__echo", {"key": SECRET, "x": 1})
    assert records(settings)[0]["arguments"] == {"key": "[secret]", "x": 1}


async def test_no_record_is_written_when_it_is_switched_off(fronted: Any, settings: Settings) -> None:
    async with fronted({"a": tools("legacy")}, settings=replace(settings, audit="off")) as client:
        await client.call_tool("a__echo", {})
    assert not (settings.data_dir / NAME).exists()


async def test_a_record_that_cannot_be_written_stops_no_call(
    fronted: Any, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.data_dir / NAME).mkdir(parents=True)
    async with fronted({"a": tools("legacy")}) as client:
        for _ in range(2):
            assert not (await client.call_tool("a__echo", {})).is_error
    assert caplog.text.count("calls go unrecorded") == 1


@pytest.fixture
def audited(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`audited("verify")`: the exit code of `pygent audit verify`, and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        code = main(["audit", *words, "--data-dir", str(settings.data_dir)])
        return code, "".join(capsys.readouterr())

    return run


async def test_pygent_audit_shows_and_verifies(fronted: Any, settings: Settings, audited: Any) -> None:
    async with fronted({"a": tools("legacy")}) as client:
        for number in range(3):
            await client.call_tool("a__echo", {"x": number})
    path = settings.data_dir / NAME
    code, printed = audited("verify")
    assert (code, printed.splitlines()[0]) == (0, "3 records, and the chain is whole.")
    assert records(settings)[-1]["hash"] in printed
    assert audited("show", "--last", "2")[1].count("stdio  a__echo  ok") == 2
    assert len(json.loads(audited("show", "--json")[1])) == 3

    path.write_text(path.read_text().replace('"outcome":"ok"', '"outcome":"no"', 1))
    code, printed = audited("verify")
    assert code == 1
    assert "broken at audit.jsonl, line 1: it was changed after it was written" in printed


async def test_pygent_audit_without_a_record_says_so(audited: Any) -> None:
    code, printed = audited("verify")
    assert code == 2
    assert "nothing was recorded yet" in printed
