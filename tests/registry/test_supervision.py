"""Servers that die, hang, stall or misbehave: what becomes of them, of calls to them, and of the others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client

from pygent_registry import health
from pygent_registry.cli import main
from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.link import Link
from pygent_registry.offer import MOST_DEFINITIONS
from pygent_registry.registry import Registry
from pygent_registry.status import STATUS_URI
from pygent_registry.watch import ConfigFile
from pygent_shared import sweeping
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])
CELLS = pytest.mark.parametrize(
    ("mode", "era"),
    [("legacy", "well_behaved"), ("legacy", "modern"), ("auto", "well_behaved"), ("auto", "modern")],
)
FLOODS = ["rubbish", "notices", "resource_updates", "list_changed", "progress", "stderr_flood", "stderr_line"]
FAULTS = [
    "twice",
    "malformed",
    "unasked",
    "half_line",
    "long_line",
    "questions",
    "many_tools",
    "broken_tools",
]


def bad(behaviour: str, argument: object = "", **more: Any) -> dict[str, Any]:
    """A config entry for a behaviour of `bad_servers.py`."""
    return {
        "command": sys.executable,
        "args": [str(HERE / "bad_servers.py"), behaviour, str(argument)],
        **more,
    }


def said(result: Any) -> str:
    return str(result.content[0].text)


class Host:
    """A host in front of a registry."""

    def __init__(self, registry: Registry, client: Client) -> None:
        self.registry, self.client = registry, client

    def apply(self, servers: dict[str, Any]) -> None:
        self.registry.apply(parse({"mcpServers": servers}))

    def link(self, name: str) -> Link:
        return self.registry.downstreams[name].primary

    async def call(self, tool: str, **arguments: Any) -> str:
        return said(await self.client.call_tool(tool, arguments))

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def report(self, name: str) -> dict[str, Any]:
        read = await self.client.read_resource(STATUS_URI)
        found: dict[str, Any] = json.loads(read.contents[0].text)["servers"][name]  # type: ignore[union-attr]
        return found

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        with anyio.fail_after(seconds):
            while not condition():
                await anyio.sleep(0.01)

    async def until_state(self, name: str, state: str, seconds: float = 20) -> None:
        await self.until(lambda: self.link(name).state == state, seconds)


@asynccontextmanager
async def over(
    servers: dict[str, Any], settings: Settings, mode: Any = "auto", **options: Any
) -> AsyncIterator[Host]:
    registry = Registry(parse({"mcpServers": servers}), settings)
    async with Client(Gateway(registry), mode=mode, cache=None, **options) as client:
        yield Host(registry, client)


async def in_flight(host: Host, tool: str, into: list[str]) -> None:
    into.append(await host.call(tool))


# One that dies.


@CELLS
async def test_a_call_in_flight_fails_within_a_second_of_its_servers_death_and_the_server_comes_back(
    server: Any, settings: Settings, mode: str, era: str
) -> None:
    async with over({"a": server(era), "b": server(era)}, settings, mode) as host:
        pid = int(await host.call("a__pid"))
        got: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_flight, host, "a__wait", got)
            await anyio.wait_all_tasks_blocked()
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            await host.until(lambda: bool(got))
            assert time.monotonic() - began < 1.0
        assert 'Server "a" went away during tools/call; it was killed by SIGKILL' in got[0]
        assert await host.call("b__echo") == "{}"
        assert int(await host.call("a__pid")) != pid
        assert time.monotonic() - began < 3.0  # a second, and two for interpreters on a busy machine
        assert (await host.report("a"))["ended_lately"] == 1


@ERAS
async def test_a_call_to_an_http_server_fails_within_a_second_of_its_death_and_works_when_it_is_back(
    settings: Settings, mode: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with over({"web": {"url": f"http://127.0.0.1:{port}/mcp"}}, settings, mode) as host:
        with everything_on(port) as process:
            assert await host.call("web__test_simple_text")
            process.send_signal(signal.SIGSTOP)
            got: list[str] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(in_flight, host, "web__test_simple_text", got)
                await anyio.sleep(0.3)  # it is on its way
                began = time.monotonic()
                process.kill()
                await host.until(lambda: bool(got))
                assert time.monotonic() - began < 1.0
        assert f"cannot be reached at http://127.0.0.1:{port}/mcp" in got[0]
        assert (await host.report("web"))["state"] == "degraded"
        with everything_on(port):
            assert "simple text" in await host.call("web__test_simple_text")
            with anyio.fail_after(20):  # what it offers is listed again too
                while (await host.report("web"))["state"] != "ready":
                    await anyio.sleep(0.1)


@contextmanager
def everything_on(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The fixture server of the conformance suite over HTTP, from when it accepts connections."""
    words = [sys.executable, str(HERE.parent / "interop" / "everything.py"), "http", str(port)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 60
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < until
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


async def test_what_a_server_offers_after_its_restart_is_listed_anew(
    server: Any, settings: Settings, tmp_path: Path
) -> None:
    offers = tmp_path / "offers.json"
    tool = {"name": "before", "inputSchema": {"type": "object"}}
    offers.write_text(json.dumps({"tools": [tool]}))
    async with over({"a": server("offering", offers)}, settings) as host:
        assert await host.tools() == ["a__before"]
        offers.write_text(json.dumps({"tools": [tool, {**tool, "name": "after"}]}))
        os.kill(host.link("a").output.pid or 0, signal.SIGKILL)
        await host.until(lambda: host.link("a").starts == 2 and host.link("a").state == "ready")
        assert await host.tools() == ["a__before", "a__after"]


async def test_a_server_that_keeps_dying_is_left_alone_after_the_fifth_time(
    server: Any, settings: Settings
) -> None:
    async with over({"a": bad("exits_without", "nothing"), "b": server("well_behaved")}, settings) as host:
        await host.tools()
        await host.until_state("a", "failed")
        await anyio.sleep(1.0)  # five times as long as its first delay
        report = await host.report("a")
        assert (report["state"], report["starts"], report["ended_lately"]) == ("failed", 5, 5)
        assert 0 < report["next_try_s"] <= health.FIRST_BREAK
        assert report["why"].endswith('its last line on stderr was "no nothing"')
        refused = await host.call("a__echo")
        assert "it ended 5 times within a minute, so it is tried again in" in refused
        assert host.link("a").starts == 5  # a call has it tried, but not at once after its end
        assert await host.call("b__echo") == "{}"


async def test_a_call_to_a_server_that_was_left_alone_has_it_tried_at_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.1)
    wanted = tmp_path / "wanted"
    async with over({"a": bad("exits_without", wanted)}, settings) as host:
        await host.tools()
        await host.until_state("a", "failed")
        await anyio.sleep(0.2)
        assert "no wanted" in await host.call("a__echo")
        assert host.link("a").starts == 6
        wanted.touch()
        await anyio.sleep(0.2)
        assert await host.call("a__echo") == "{}"
        assert (await host.report("a"))["state"] == "ready"


async def test_an_edited_entry_is_tried_at_once_whatever_its_past(settings: Settings, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    async with over({"a": bad("exits_without", wanted)}, settings) as host:
        await host.tools()
        await host.until_state("a", "failed")
        wanted.touch()
        host.apply({"a": bad("exits_without", wanted, timeout=60)})
        assert await host.call("a__echo") == "{}"


async def test_enabling_what_is_enabled_has_it_tried_at_once(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, wanted = tmp_path / "pygent.json", tmp_path / "wanted"
    config.write_text(json.dumps({"mcpServers": {"a": bad("exits_without", wanted)}}), encoding="utf-8")
    file = ConfigFile(locate=lambda: config, poll=0.05)
    registry = Registry(file.load(), settings, file=file)
    async with Client(Gateway(registry), cache=None) as client:
        host = Host(registry, client)
        await host.tools()
        await host.until_state("a", "failed")
        wanted.touch()
        assert main(["enable", "a", "--config", str(config)]) == 0
        await host.until_state("a", "ready")
    said = capsys.readouterr()
    assert 'The server "a" is enabled already.' in said.err
    assert "it tries at once what has failed there" in said.out


async def test_nothing_is_kept_in_memory_of_a_server_that_was_removed(
    server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "SECONDS", 0.05)
    async with over({"a": server("well_behaved")}, settings) as host:
        assert await host.call("a__echo") == "{}"
        removed = weakref.ref(host.link("a"))
        host.apply({})
        await host.until(lambda: bool([[number] for number in range(1000)]) and removed() is None)


# One that stops answering.


async def test_an_idle_server_that_hangs_is_doubted_and_then_started_again(
    server: Any, settings: Settings
) -> None:
    async with over({"a": server("well_behaved")}, replace(settings, ping_idle=0.5)) as host:
        pid = int(await host.call("a__pid"))
        os.kill(pid, signal.SIGSTOP)
        await host.until_state("a", "degraded")
        report = await host.report("a")
        assert (report["state"], report["why"]) == ("degraded", "has not answered a ping for 0.5 s")
        assert "a__echo" in await host.tools()
        await host.until(lambda: host.link("a").starts == 2 and host.link("a").state == "ready")
        assert int(await host.call("a__pid")) != pid


async def test_a_server_that_answers_again_is_ready_again_and_was_not_restarted(
    server: Any, settings: Settings
) -> None:
    async with over({"a": server("well_behaved")}, replace(settings, ping_idle=1.0)) as host:
        pid = int(await host.call("a__pid"))
        os.kill(pid, signal.SIGSTOP)
        await host.until_state("a", "degraded")
        os.kill(pid, signal.SIGCONT)
        await host.until_state("a", "ready")
        assert int(await host.call("a__pid")) == pid


async def test_nobody_is_pinged_while_a_call_is_in_flight(server: Any, settings: Settings) -> None:
    async with over({"a": server("well_behaved")}, replace(settings, ping_idle=0.2)) as host:
        pid = int(await host.call("a__pid"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_flight, host, "a__wait", [])
            await anyio.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGSTOP)
            await anyio.sleep(2.0)  # ten times as long as an idle server may be silent
            assert (host.link("a").state, host.link("a").starts) == ("ready", 1)
            os.kill(pid, signal.SIGCONT)
            tasks.cancel_scope.cancel()


@CELLS
async def test_several_timeouts_in_a_row_are_a_doubt_and_an_answer_settles_it(
    server: Any, settings: Settings, mode: str, era: str
) -> None:
    servers = {"a": server(era, timeouts={"wait": 0.2})}
    async with over(servers, settings, mode) as host:
        for _ in range(2):
            await host.call("a__wait")
        assert host.link("a").state == "ready"
        await host.call("a__wait")
        report = await host.report("a")
        assert (report["state"], report["why"]) == (
            "degraded",
            "has left several requests in a row unanswered",
        )
        assert await host.call("a__echo") == "{}"
        assert host.link("a").state == "ready"


async def test_a_server_that_cannot_list_again_keeps_what_it_listed_and_is_asked_again(
    settings: Settings,
) -> None:
    async with over({"a": bad("unlistable")}, settings) as host:
        before = await host.tools()
        await host.call("a__misbehave")
        await host.until_state("a", "degraded")
        assert "could not list again what it offers: out of ink" in (await host.report("a"))["why"]
        assert await host.tools() == before
        await host.until_state("a", "ready")
        assert await host.tools() == [*before, "a__extra"]


async def test_an_end_while_it_lists_again_is_no_fault_of_its_lists(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with over({"a": bad("dying_lister")}, settings) as host:
        await host.call("a__grow", kind="tools", name="more")
        await host.until(lambda: host.link("a").starts == 2 and host.link("a").state == "ready")
    assert not [said for said in caplog.messages if "could not list again" in said]


# One that is slow to start.


@ERAS
async def test_a_slow_start_goes_on_in_the_background_and_joins_with_a_notice(
    server: Any, settings: Settings, mode: str
) -> None:
    told = anyio.Event()

    async def notified(message: Any) -> None:
        if isinstance(message, t.ToolListChangedNotification):
            told.set()

    settings = replace(settings, start_timeout=0.5)
    servers = {"slow": server("slow", 3), "a": server("well_behaved")}
    async with over(servers, settings, mode, message_handler=notified) as host:
        async with anyio.create_task_group() as tasks:
            if mode == "auto":
                tasks.start_soon(listened, host.client, told)
            assert {name.partition("__")[0] for name in await host.tools()} == {"a"}
            refused = await host.call("slow__echo")
            assert "did not answer initialize within 0.5 s, and goes on in the background" in refused
            assert (await host.report("slow"))["state"] == "connecting"
            with anyio.fail_after(20):
                await told.wait()
            tasks.cancel_scope.cancel()
        assert "slow__echo" in await host.tools()
        assert host.link("slow").starts == 1


async def listened(client: Client, told: anyio.Event) -> None:
    async with client.listen(tools_list_changed=True) as events:
        async for _ in events:
            told.set()


async def test_a_start_that_only_hangs_is_made_anew_after_ten_times_its_limit(
    server: Any, settings: Settings
) -> None:
    async with over({"a": server("hangs")}, replace(settings, start_timeout=0.2)) as host:
        await host.tools()
        assert host.link("a").starts == 1
        await host.until(lambda: host.link("a").starts == 2)
        assert "did not answer initialize within 2 s" in host.link("a").why


async def test_a_start_that_visibly_works_is_never_ended(settings: Settings) -> None:
    async with over({"a": bad("works", 4)}, replace(settings, start_timeout=0.3)) as host:
        await host.tools()
        await host.until_state("a", "ready")
        assert host.link("a").starts == 1


# One that misbehaves.


@pytest.mark.parametrize("behaviour", FLOODS + FAULTS)
async def test_whatever_one_server_does_the_others_go_on_answering(
    server: Any, settings: Settings, behaviour: str
) -> None:
    """At most ten times as slow, and 50 ms, at the median; none takes more than 5 s on a busy machine."""

    async def seconds() -> list[float]:
        took = []
        for _ in range(40):
            began = time.perf_counter()
            assert await host.call("good__echo", x=1) == '{"x": 1}'
            took.append(time.perf_counter() - began)
        return took

    servers = {"bad": bad(behaviour), "good": server("well_behaved")}
    async with over(servers, replace(settings, max_message_mb=8, tools="all")) as host:
        await host.tools()
        quiet = median(await seconds())
        assert await host.call("bad__misbehave") == "as you wish"
        await anyio.sleep(0.3)
        took = await seconds()
        assert median(took) < 10 * quiet + 0.05
        assert max(took) < 5.0


@pytest.mark.parametrize("behaviour", ["twice", "malformed", "unasked", "stderr_flood", "broken_tools"])
async def test_a_server_that_says_odd_things_still_answers_its_own_calls_rightly(
    settings: Settings, behaviour: str
) -> None:
    async with over({"bad": bad(behaviour)}, settings) as host:
        await host.call("bad__misbehave")
        for number in range(20):
            assert await host.call("bad__echo", n=number) == f'{{"n": {number}}}'
        assert host.link("bad").starts == 1


async def test_a_message_without_end_ends_its_server_with_a_sentence_and_costs_little_memory(
    settings: Settings,
) -> None:
    async with over({"bad": bad("long_line")}, replace(settings, max_message_mb=8)) as host:
        await host.call("bad__misbehave")
        before = most = resident()
        got: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_flight, host, "bad__wait", got)
            with anyio.fail_after(20):
                while not got:
                    most = max(most, resident())
                    await anyio.sleep(0.002)
        assert 'Server "bad" wrote a message of more than 8 MiB to stdout during tools/call' in got[0]
        assert most - before < 3 * 8 * 2**20
        assert await host.call("bad__echo") == "{}"  # it is up again
        assert host.link("bad").starts == 2


def resident() -> int:
    """Bytes of memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_definitions_that_are_none_are_left_out_and_those_of_too_many(settings: Settings) -> None:
    async with over({"a": bad("broken_tools"), "b": bad("many_tools")}, settings) as host:
        settings_of = host.registry.downstreams
        before = await host.tools()
        await host.call("a__misbehave")
        await host.call("b__misbehave")
        await host.until(lambda: len(listed(settings_of["b"].primary)) > 100)
        await host.until(lambda: "fine" in listed(settings_of["a"].primary))
        assert len(listed(settings_of["b"].primary)) == MOST_DEFINITIONS
        assert len(listed(settings_of["a"].primary)) == len(before) // 2 + 1


def listed(link: Link) -> list[str]:
    assert link.listing is not None
    return [tool["name"] for tool in link.listing.tools]


# Calls that were lost with their server.


@pytest.mark.parametrize("tool", ["reads", "idempotent"])
async def test_a_lost_call_that_does_no_harm_twice_is_repeated_once_where_the_server_is_trusted(
    settings: Settings, tmp_path: Path, tool: str
) -> None:
    noted = tmp_path / "noted"
    servers = {"a": bad("dying", f"{noted}:1", trusted=True)}
    async with over(servers, settings) as host:
        assert await host.call(f"a__{tool}") == "done"
        assert noted.read_text().split() == ["asked"] * 2


async def test_a_lost_call_is_repeated_no_more_than_once(settings: Settings, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    async with over({"a": bad("dying", f"{noted}:9", trusted=True)}, settings) as host:
        assert "went away during tools/call" in await host.call("a__reads")
        assert noted.read_text().split() == ["asked"] * 2


@pytest.mark.parametrize(
    ("tool", "trusted"), [("plain", True), ("plain", False), ("reads", False), ("idempotent", False)]
)
async def test_no_other_lost_call_is_repeated_and_hints_of_a_foreign_server_unlock_nothing(
    settings: Settings, tmp_path: Path, tool: str, trusted: bool
) -> None:
    noted = tmp_path / "noted"
    async with over({"a": bad("dying", f"{noted}:1", trusted=trusted)}, settings) as host:
        assert "went away during tools/call" in await host.call(f"a__{tool}")
        assert noted.read_text().split() == ["asked"]


async def test_a_lost_read_of_a_resource_is_repeated_for_every_server(
    settings: Settings, tmp_path: Path
) -> None:
    async with over({"a": bad("dying", f"{tmp_path / 'noted'}:1")}, settings) as host:
        read = await host.client.read_resource("test://it")
        assert read.contents[0].text == "read"  # type: ignore[union-attr]


# One whose entry changes.


@CELLS
@pytest.mark.parametrize("change", ["removed", "edited"])
async def test_a_call_in_flight_is_told_what_became_of_its_servers_entry(
    server: Any, settings: Settings, mode: str, era: str, change: str
) -> None:
    async with over({"a": server(era), "b": server(era)}, settings, mode) as host:
        await host.tools()
        got: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_flight, host, "a__wait", got)
            await anyio.wait_all_tasks_blocked()
            host.apply({"b": server(era)} | ({"a": server(era, timeout=9)} if change == "edited" else {}))
            await host.until(lambda: bool(got), 5)
        words = {
            "removed": "was removed from the config file, or disabled there, during tools/call.",
            "edited": "was started anew during tools/call, as its entry in the config file changed.",
        }
        assert got[0].startswith(f'Server "a" {words[change]}')
        assert await host.call("b__echo") == "{}"


async def test_the_report_says_since_when_a_server_is_in_its_state(server: Any, settings: Settings) -> None:
    async with over({"a": server("well_behaved")}, settings) as host:
        await host.call("a__echo")
        report = await host.report("a")
        assert report["state"] == "ready"
        assert "T" in report["since"]
        assert report["since"].endswith("+00:00")
        assert {"why", "next_try_s", "ended_lately"}.isdisjoint(report)
