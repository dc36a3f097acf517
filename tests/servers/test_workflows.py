"""Workflows carried out: in order, at once, again, back, by hand, and as one is told of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client

from pygent_orchestration.server import build_server
from pygent_orchestration.store import MIGRATIONS, Begun, Store, now
from pygent_shared.caller import META
from pygent_shared.database import Database
from pygent_shared.sandbox.run import missing
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .workflow_peers import Peers

pytestmark = pytest.mark.anyio

PATIENCE = 30
NEEDS_SANDBOX = pytest.mark.skipif(missing() is not None, reason="needs bubblewrap")


CONNECTED: list[Any] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        CONNECTED.append(arguments[1])


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def nothing_connects() -> Iterator[None]:
    """Whatever a workflow does, nothing is connected to."""
    CONNECTED.clear()
    yield
    assert CONNECTED == []


@asynccontextmanager
async def orchestration(settings: Settings, peers: Any = None, **options: Any) -> AsyncIterator[Client]:
    async with Client(build_server(settings, peers), **options) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def ran(client: Client, text: str, name: str = "w", **inputs: Any) -> dict[str, Any]:
    """A workflow of a text, defined, begun and waited for."""
    await call(client, "define_workflow", name=name, definition=text)
    return await call(client, "start_workflow", name=name, inputs=inputs, wait_s=PATIENCE)


def does(what: str, *lines: str) -> str:
    """A step that calls the peers' tool."""
    return "\n".join((f"[steps.{what}]", 'tool = "work__do"', f'with = {{ what = "{what}" }}', *lines, ""))


def states(workflow: dict[str, Any]) -> dict[str, str]:
    return {row["step"]: row["state"] for row in workflow["steps"]}


async def test_steps_are_done_in_the_order_they_need_and_read_each_other(settings: Settings) -> None:
    peers = Peers()
    text = f"""
        [inputs.word]
        [steps.last]
        tool = "work__do"
        with = {{ what = "{{{{ inputs.word }}}} {{{{ steps.first.did }}}}" }}
        {does("second", 'needs = ["first"]')}
        {does("first")}
        """
    async with orchestration(settings, peers) as client:
        done = await ran(client, text, word="after")
    assert done["state"] == "done"
    assert done["value"] == {"last": {"did": "after first"}, "second": {"did": "second"}}
    assert peers.calls[0] == ("work__do", {"what": "first"})
    assert [row["state"] for row in done["steps"]] == ["done"] * 3


async def test_steps_that_do_not_wait_for_each_other_are_done_at_once_up_to_the_limit(
    settings: Settings,
) -> None:
    peers = Peers(seconds=0.1)
    text = "concurrency = 3\n" + "".join(does(f"s{number}") for number in range(7))
    async with orchestration(settings, peers) as client:
        assert (await ran(client, text))["state"] == "done"
    assert peers.most_at_once == 3


async def test_a_step_is_tried_again_and_says_how_often(settings: Settings) -> None:
    peers = Peers()
    peers.failing["flaky"] = 2
    async with orchestration(settings, peers) as client:
        done = await ran(client, does("flaky", "retries = 3", "retry_wait = 0.01"))
    assert (done["state"], done["steps"][0]["attempts"]) == ("done", 3)


async def test_a_failure_stops_what_comes_after_and_undoes_what_was_done_the_latest_first(
    settings: Settings,
) -> None:
    peers = Peers()
    peers.failing["three"] = 1
    undo = 'undo = {{ tool = "work__do", with = {{ what = "undo {0} {{{{ steps.{0}.did }}}}" }} }}'
    text = (
        does("one", undo.format("one"))
        + does("two", 'needs = ["one"]', undo.format("two"))
        + does("three", 'needs = ["two"]', undo.format("three"))
        + does("four", 'needs = ["three"]')
    )
    async with orchestration(settings, peers) as client:
        failed = await ran(client, text)
    assert (failed["state"], failed["error"]) == ("failed", 'Step "three" failed: three broke')
    assert states(failed) == {"one": "done", "two": "done", "three": "failed", "four": "pending"}
    assert [row["undone"] for row in failed["steps"]] == [True, True, False, False]
    assert [call[1]["what"] for call in peers.calls[3:]] == ["undo two two", "undo one one"]


async def test_cancelling_undoes_what_was_done_in_the_workflow_and_below_it_the_latest_first(
    settings: Settings,
) -> None:
    peers = Peers()
    undo = 'undo = {{ tool = "work__do", with = {{ what = "undo {0} {{{{ steps.{0}.did }}}}" }} }}'
    item = 'undo = { tool = "work__do", with = { what = "undo {{ item }}" } }'
    text = f"""
        {does("one", undo.format("one"))}
        {does("two", 'needs = ["one"]')}
        [steps.each]
        needs = ["two"]
        map = ["a", "b"]
        [steps.each.steps.done]
        tool = "work__do"
        with = {{ what = "{{{{ item }}}}" }}
        {item}
        [steps.each.steps.ask]
        needs = ["done"]
        approval = "{{{{ item }}}}?"
        """
    async with orchestration(settings, peers) as client:
        await call(client, "define_workflow", name="w", definition=text)
        id = (await call(client, "start_workflow", name="w"))["workflow"]
        with anyio.fail_after(PATIENCE):
            while len((await call(client, "workflow_status", workflow=id))["steps"][2]["steps"]) < 4:
                await anyio.sleep(0.05)
        stopped = await call(client, "cancel_workflow", workflow=id)
        assert stopped["state"] == "cancelled"
        assert [row["undone"] for row in stopped["steps"]] == [True, False, False]
        undone = [made[1]["what"] for made in peers.calls if made[1]["what"].startswith("undo")]
        assert (sorted(undone[:2]), undone[2:]) == (["undo a", "undo b"], ["undo one one"])
        again = await call(client, "resume_workflow", workflow=id, wait_s=0)
        assert again["workflow"] != id
        with anyio.fail_after(PATIENCE):
            while [made[1]["what"] for made in peers.calls].count("b") < 2:
                await anyio.sleep(0.05)
    made = [made[1]["what"] for made in peers.calls]
    assert [made.count(what) for what in ("one", "two", "a")] == [2, 1, 2]


async def test_what_is_cancelled_without_undo_stays_and_goes_on_as_it_was(settings: Settings) -> None:
    peers = Peers()
    undo = 'undo = { tool = "work__do", with = { what = "undo" } }'
    text = does("one", undo) + '[steps.ask]\nneeds = ["one"]\napproval = "Go on?"\n'
    async with orchestration(settings, peers) as client:
        await call(client, "define_workflow", name="w", definition=text)
        id = (await call(client, "start_workflow", name="w", wait_s=1))["workflow"]
        stopped = await call(client, "cancel_workflow", workflow=id, undo=False)
        assert [row["undone"] for row in stopped["steps"]] == [False, False]
        assert (await call(client, "resume_workflow", workflow=id))["workflow"] == id
    assert [made[1]["what"] for made in peers.calls] == ["one"]


async def test_an_optional_step_that_fails_gives_null_and_the_rest_goes_on(settings: Settings) -> None:
    peers = Peers()
    peers.failing["maybe"] = 1
    text = does("maybe", "optional = true") + '[steps.after]\ncondition = "steps.maybe == None"\n'
    async with orchestration(settings, peers) as client:
        done = await ran(client, text)
    assert (done["state"], done["value"], states(done)["maybe"]) == ("done", True, "failed")


async def test_a_step_whose_condition_is_false_is_skipped(settings: Settings) -> None:
    text = """
        [inputs.kind]
        [steps.a]
        when = "inputs.kind == 'a'"
        condition = "'went a'"
        [steps.b]
        when = "inputs.kind != 'a'"
        condition = "'went b'"
        [steps.end]
        condition = "steps.a or steps.b"
        """
    async with orchestration(settings) as client:
        done = await ran(client, text, kind="b")
    assert (done["value"], states(done)) == ("went b", {"a": "skipped", "b": "done", "end": "done"})


async def test_a_step_that_takes_too_long_fails(settings: Settings) -> None:
    peers = Peers()
    text = '[steps.stuck]\ntool = "work__hold"\ntimeout = 0.2\n'
    async with orchestration(settings, peers) as client:
        failed = await ran(client, text)
    assert failed["error"] == 'Step "stuck" failed: It took more than 0.2 s.'


async def test_a_map_does_its_body_for_each_item_and_keeps_their_order(settings: Settings) -> None:
    peers = Peers(seconds=0.05)
    text = """
        [inputs.words]
        [steps.each]
        map = "inputs.words"
        concurrency = 2
        output = "{{ index }} {{ steps.up.did }}"
        [steps.each.steps.up]
        tool = "work__do"
        with = { what = "{{ item }}" }
        """
    async with orchestration(settings, peers) as client:
        done = await ran(client, text, words=["a", "b", "c"])
        nothing = await ran(client, text, words=[])
    assert (done["value"], peers.most_at_once, nothing["value"]) == (["0 a", "1 b", "2 c"], 2, [])
    assert [row["step"] for row in done["steps"][0]["steps"]] == ["0.up", "1.up", "2.up"]


async def test_rounds_go_on_until_their_expression_says_so(settings: Settings) -> None:
    text = """
        [steps.count]
        repeat = 10
        until = "last > 2"
        [steps.count.steps.one]
        condition = "(last or 0) + 1"
        """
    async with orchestration(settings) as client:
        done = await ran(client, text)
    assert (done["value"], len(done["steps"][0]["steps"])) == (3, 3)


async def test_a_workflow_uses_another_as_it_was_when_it_began(settings: Settings) -> None:
    inner = "[inputs.word]\n[steps.say]\ncondition = \"inputs.word + '!'\"\n"
    outer = """
        [steps.hello]
        workflow = "inner"
        with = { word = "hello" }
        [steps.all]
        map = ["a", "b"]
        workflow = "inner"
        with = { word = "{{ item }}{{ steps.hello }}" }
        """
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="inner", definition=inner)
        done = await ran(client, outer)
        assert done["value"] == ["ahello!!", "bhello!!"]
        missing = await ran(client, '[steps.a]\nworkflow = "inner"\n', name="bad")
        assert "inputs: word must be given" in missing["error"]
        round = await refusal(
            client, "define_workflow", name="inner", definition='[steps.a]\nworkflow = "w"\n'
        )
    assert "inner → w → inner" in round


async def test_an_approval_waits_and_another_client_answers_it(settings: Settings) -> None:
    text = '[steps.ok]\napproval = "Send {{ inputs.what }}?"\n[inputs.what]\n'
    server = build_server(settings, None)
    async with Client(server) as one, Client(server) as other:
        await call(one, "define_workflow", name="w", definition=text)
        begun = await call(one, "start_workflow", name="w", inputs={"what": "it"}, wait_s=0.5)
        id = begun["workflow"]
        with anyio.fail_after(PATIENCE):
            while not begun["steps"][0].get("waits"):
                begun = await call(other, "workflow_status", workflow=id)
        assert (begun["state"], states(begun)) == ("running", {"ok": "waiting"})
        assert begun["next"].startswith("It waits for an approval: Send it?")
        await call(other, "approve", workflow=id, comment="go")
        done = await call(one, "wait_for_workflow", workflow=id)
        assert (done["state"], done["value"]) == ("done", {"approved": True, "comment": "go"})
        told = await refusal(other, "reject", workflow=id)
    assert "waits for an approval nowhere" in told


async def test_what_is_rejected_fails_with_the_reason(settings: Settings) -> None:
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="w", definition='[steps.ok]\napproval = "Go?"\n')
        begun = await call(client, "start_workflow", name="w")
        with anyio.fail_after(PATIENCE):
            while (
                await client.call_tool("reject", {"workflow": begun["workflow"], "comment": "too soon"})
            ).is_error:
                await anyio.sleep(0.02)
        failed = await call(client, "wait_for_workflow", workflow=begun["workflow"])
    assert failed["error"] == 'Step "ok" failed: It was rejected: too soon'


async def test_an_approval_that_nobody_gives_in_time_fails(settings: Settings) -> None:
    async with orchestration(settings) as client:
        failed = await ran(client, '[steps.ok]\napproval = "Go?"\ntimeout = 0.3\n')
    assert failed["error"] == 'Step "ok" failed: Nobody answered in 0.3 s.'


async def refused(client: Client, **signal: Any) -> str:
    """Why a signal is not taken."""
    result = await client.call_tool("signal_workflow", signal)
    assert result.is_error
    assert isinstance(result.content[0], t.TextContent)
    return result.content[0].text


async def test_a_signal_brings_its_message_and_several_are_told_apart(settings: Settings) -> None:
    text = """
        [steps.all]
        map = ["a", "b"]
        [steps.all.steps.got]
        signal = "reading"
        """
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="w", definition=text)
        id = (await call(client, "start_workflow", name="w"))["workflow"]
        for step in ("all/0.got", "all/1.got"):
            with anyio.fail_after(PATIENCE):  # a name that is nearly its own takes nothing
                while f'"{step}"' not in await refused(client, workflow=id, step=f"{step}t", message=0):
                    await anyio.sleep(0.02)
        assert "all/0.got and all/1.got" in await refused(client, workflow=id, message=0)
        await call(client, "signal_workflow", workflow=id, step="all/1.got", message=False)
        await call(client, "signal_workflow", workflow=id, step="all/0.got", message={"high": 3})
        done = await call(client, "wait_for_workflow", workflow=id)
    assert done["value"] == [{"high": 3}, False]


@NEEDS_SANDBOX
async def test_a_gate_is_green_or_red_with_its_output_and_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.txt").write_text("tide")
    text = """
        [inputs.folder]
        [steps.green]
        gate = "cat a.txt && echo more >> a.txt"
        folder = "{{ inputs.folder }}"
        [steps.red]
        gate = ["grep", "-c", "storm", "a.txt"]
        folder = "{{ inputs.folder }}"
        needs = ["green"]
        """
    async with orchestration(settings) as client:
        failed = await ran(client, text, folder=str(folder))
    assert failed["steps"][0]["value"] == "tide"
    assert failed["error"] == 'Step "red" failed: The gate is red: `grep -c storm a.txt` exited with 1.\n0'
    assert (folder / "a.txt").read_text() == "tide"


async def test_an_agents_run_is_waited_for_and_what_it_used_is_counted(settings: Settings) -> None:
    peers = Peers(lambda name, task: f"{name} did {task}")
    text = """
        [steps.one]
        agent = "ann"
        task = "this"
        [steps.two]
        agent = "bob"
        task = "that, after: {{ steps.one }}"
        """
    async with orchestration(settings, peers) as client:
        done = await ran(client, text)
    assert done["value"] == "bob did that, after: ann did this"
    assert done["usage"] == {"requests": 2, "input_tokens": 20}
    assert [row["run"] for row in done["steps"]] == ["r0", "r1"]


async def test_what_is_cancelled_stops_with_its_runs_and_goes_on_when_resumed(settings: Settings) -> None:
    peers = Peers(lambda name, task: "done")
    text = does("first") + '[steps.slow]\nagent = "slow"\ntask = "{{ steps.first.did }}"\n'
    async with orchestration(settings, peers) as client:
        await call(client, "define_workflow", name="w", definition=text)
        id = (await call(client, "start_workflow", name="w"))["workflow"]
        with anyio.fail_after(PATIENCE):
            while not any(name == "factory__get_run" for name, _ in peers.calls):
                await anyio.sleep(0.02)
        stopped = await call(client, "cancel_workflow", workflow=id)
        assert (stopped["state"], peers.cancelled) == ("cancelled", ["r0"])
        peers.held.set()
        done = await call(client, "resume_workflow", workflow=id, wait_s=PATIENCE)
        assert (done["state"], done["workflow"], done["value"]) == ("done", id, "done")
        told = await refusal(client, "resume_workflow", workflow=id)
    assert "is done, and cannot be resumed then" in told
    assert [name for name, _ in peers.calls].count("work__do") == 1


async def test_what_failed_is_resumed_under_a_new_id_and_keeps_what_was_done(settings: Settings) -> None:
    peers = Peers()
    peers.failing["second"] = 1
    text = does("first") + does("second", 'needs = ["first"]')
    async with orchestration(settings, peers) as client:
        failed = await ran(client, text)
        done = await call(client, "resume_workflow", workflow=failed["workflow"], wait_s=PATIENCE)
    assert (failed["state"], done["state"], done["origin"]) == ("failed", "done", failed["workflow"])
    assert [call[1]["what"] for call in peers.calls] == ["first", "second", "second"]
    assert states(done) == {"first": "done", "second": "done"}


async def test_a_fork_does_a_step_and_those_after_it_again(settings: Settings) -> None:
    peers = Peers()
    text = "[inputs.word]\n" + does("aside") + does("first")
    text += '[steps.second]\ntool = "work__do"\nwith = { what = "{{ inputs.word }}" }\nneeds = ["first"]\n'
    text += '[steps.third]\ncondition = "steps.second.did + steps.aside.did"\n'
    async with orchestration(settings, peers) as client:
        done = await ran(client, text, word="a")
        asked = {"workflow": done["workflow"], "step": "second", "inputs": {"word": "b"}}
        forked = await call(client, "fork_from", **asked, wait_s=PATIENCE)
        told = await refusal(client, "fork_from", workflow=done["workflow"], step="secnod")
    assert (done["value"], forked["value"]) == ("aaside", "baside")
    assert [call[1]["what"] for call in peers.calls[3:]] == ["b"]
    assert 'Did you mean "second"' in told


async def test_a_workflow_stays_with_the_version_it_began_with(settings: Settings) -> None:
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="w", definition='[steps.go]\nsignal = "go"\n')
        id = (await call(client, "start_workflow", name="w"))["workflow"]
        newer = await call(client, "define_workflow", name="w", definition='[steps.new]\ncondition = "1"\n')
        again = await call(client, "define_workflow", name="w", definition='[steps.new]\ncondition = "1"\n')
        assert (newer["workflow"]["version"], again["workflow"]["version"]) == (2, 2)
        assert states(await call(client, "workflow_status", workflow=id)).keys() == {"go"}
        assert (await call(client, "show_workflow", name="w", version=1))["workflow"]["steps"] == {
            "go": "signal"
        }


async def test_the_status_can_be_rebuilt_from_the_events_alone(settings: Settings) -> None:
    from pygent_orchestration import reading
    from pygent_orchestration.events import Event
    from pygent_orchestration.events import states as rebuilt

    peers = Peers()
    peers.failing["two"] = 1
    text = (
        does("one") + does("two", "optional = true") + '[steps.three]\ncondition = "1"\nwhen = "steps.two"\n'
    )
    text += '[steps.four]\nsignal = "go"\nneeds = ["three"]\n'
    async with orchestration(settings, peers) as client:
        await call(client, "define_workflow", name="w", definition=text)
        id = (await call(client, "start_workflow", name="w"))["workflow"]
        status: dict[str, Any] = {"steps": [{"step": "four", "state": ""}]}
        with anyio.fail_after(PATIENCE):
            while states(status)["four"] != "waiting":
                status = await call(client, "workflow_status", workflow=id)
        before = await lines(client, id)
        assert rebuilt(reading.definition(text, "toml"), [Event(**line) for line in before]) == states(status)
        await call(client, "signal_workflow", workflow=id, message="x")
        status = await call(client, "wait_for_workflow", workflow=id)
        after = await lines(client, id)
    assert after[: len(before)] == before
    assert rebuilt(reading.definition(text, "toml"), [Event(**line) for line in after]) == states(status)
    assert states(status) == {"one": "done", "two": "failed", "three": "skipped", "four": "done"}
    assert [line["kind"] for line in after] == ["began", *["step"] * 3, "waits", "signalled", "step", "ended"]


async def lines(client: Client, id: str) -> list[dict[str, Any]]:
    (content,) = (await client.read_resource(f"workflow://{id}/events")).contents
    assert isinstance(content, t.TextResourceContents)
    return [json.loads(line) for line in content.text.splitlines()]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_whoever_waits_is_told_of_each_step_as_it_ends(settings: Settings, mode: Any) -> None:
    told = []

    async def progress(number: float, total: float | None, message: str | None) -> None:
        told.append((number, total, message))

    text = does("one") + does("two", 'needs = ["one"]')
    async with orchestration(settings, Peers(seconds=0.4), mode=mode) as client:
        await call(client, "define_workflow", name="w", definition=text)
        begun = await call(client, "start_workflow", name="w")
        await client.call_tool(
            "wait_for_workflow", {"workflow": begun["workflow"]}, progress_callback=progress
        )
    assert told == [(1, 2, "one done"), (2, 2, "two done")]


async def test_a_wait_comes_back_in_time_with_the_workflow_going_on(settings: Settings) -> None:
    async with orchestration(settings, Peers()) as client:
        await call(client, "define_workflow", name="w", definition='[steps.s]\ntool = "work__hold"\n')
        id = (await call(client, "start_workflow", name="w"))["workflow"]
        with anyio.fail_after(10):
            status = await call(client, "wait_for_workflow", workflow=id, wait_s=0.3)
        assert (status["state"], status["next"].startswith("It goes on.")) == ("running", True)
        queue = await call(client, "queue_status")
        assert (queue["waiting"], list(queue["running"].values())) == (0, [1])


async def test_names_and_ids_are_completed(settings: Settings) -> None:
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="map-mine", definition='[steps.a]\ncondition = "1"\n')
        begun = await call(client, "start_workflow", name="map-mine", wait_s=PATIENCE)
        ref = t.ResourceTemplateReference(uri="definition://{name}")
        found = await client.complete(ref, {"name": "name", "value": "map"})
        assert found.completion.values == ["map-mine", "map-reduce"]
        ids = await client.complete(
            t.ResourceTemplateReference(uri="workflow://{id}"), {"name": "id", "value": ""}
        )
        assert ids.completion.values == [begun["workflow"]]
        listed = await call(client, "list_workflows", name="map-mine")
        assert [row["state"] for row in listed["workflows"]] == ["done"]


async def test_a_time_at_which_nothing_could_be_begun_is_told_with_its_cause(settings: Settings) -> None:
    text = '[steps.a]\ncondition = "1"\n'
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="w", definition=text)
        await call(client, "schedule", name="s", workflow="w", cron="* * * * * *")
        await call(client, "define_workflow", name="w", definition=f"[inputs.place]\n{text}")
        with anyio.fail_after(PATIENCE):
            while not (row := (await call(client, "list_schedules"))["schedules"][0])["error"]:
                await anyio.sleep(0.1)
            assert row["error"].startswith("inputs: place must be given")
            told = f"nothing was begun: {row['error']}"
            await call(client, "pause_schedule", name="s")
            while told not in (await client.call_tool("list_schedules", {})).content[0].text:  # type: ignore[union-attr]
                await anyio.sleep(0.1)
            await call(client, "define_workflow", name="w", definition=text)
            await call(client, "pause_schedule", name="s", paused=False)
            while not (await call(client, "list_workflows", name="w"))["workflows"]:
                await anyio.sleep(0.1)
            await call(client, "pause_schedule", name="s")
            while (await call(client, "list_schedules"))["schedules"][0]["error"]:
                await anyio.sleep(0.1)


async def test_a_workflow_that_a_crash_left_before_it_was_begun_hinders_no_list(settings: Settings) -> None:
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="w", definition='[steps.a]\ncondition = "True"\n')
        await call(client, "start_workflow", name="w", wait_s=PATIENCE)
    database = Database(settings.data_dir / "orchestration.db", MIGRATIONS)
    Store(database).begin(Begun(id="left", name="w", version=1, inputs={}, began_at=now(), origin=""))
    database.close()
    async with orchestration(settings) as client:
        listed = (await call(client, "list_workflows", name="w"))["workflows"]
    assert [row["state"] for row in listed] == ["done"]


async def test_a_schedule_begins_workflows_and_is_kept_over_a_restart(settings: Settings) -> None:
    async with orchestration(settings) as client:
        await call(client, "define_workflow", name="w", definition='[steps.a]\ncondition = "1"\n')
        await call(
            client, "schedule", name="each-second", workflow="w", cron="* * * * * *", zone="Asia/Tokyo"
        )
        with anyio.fail_after(PATIENCE):
            while not (await call(client, "list_workflows", name="w"))["workflows"]:
                await anyio.sleep(0.1)
        (paused,) = (await call(client, "pause_schedule", name="each-second"))["schedules"]
        assert (paused["paused"], paused["next"], paused["zone"]) == (True, "", "Asia/Tokyo")
        assert 'Did you mean "each-second"' in await refusal(client, "unschedule", name="each-secnd")
    async with orchestration(settings) as client:
        assert [row["paused"] for row in (await call(client, "list_schedules"))["schedules"]] == [True]
        assert (await call(client, "unschedule", name="each-second"))["schedules"] == []
        wrong = await refusal(client, "schedule", name="s", workflow="w", cron="now")
    assert "'now' is no cron expression" in wrong


async def test_nobody_but_the_machines_own_user_has_workflows(settings: Settings) -> None:
    async with orchestration(settings) as client:
        for tool, arguments in {
            "start_workflow": {"name": "parallel"},
            "workflow_status": {"workflow": "w1"},
            "approve": {"workflow": "w1"},
            "list_workflows": {},
            "define_workflow": {"name": "a", "definition": ""},
            "list_schedules": {},
        }.items():
            result = await client.call_tool(tool, arguments, meta={META: "somebody"})
            assert isinstance(result.content[0], t.TextContent)
            assert result.content[0].text.startswith(
                "Workflows run with the rights of the machine's own user"
            )


async def test_what_cannot_be_begun_says_why(settings: Settings) -> None:
    async with orchestration(settings, Peers()) as client:
        await call(client, "define_workflow", name="w", definition='[steps.a]\ntool = "work__dos"\n')
        assert 'Did you mean "work__do"' in await refusal(client, "start_workflow", name="w")
        assert "There is no workflow" in await refusal(client, "start_workflow", name="nothing")
        assert "topic must be given" in await refusal(client, "start_workflow", name="sequential")
        wrong = {"name": "sequential", "inputs": {"topic": 3}}
        assert "inputs.topic: must be of type string" in await refusal(client, "start_workflow", **wrong)
        wrong = {"name": "sequential", "inputs": {"topics": "x"}}
        assert 'Did you mean "topic"' in await refusal(client, "start_workflow", **wrong)
        assert 'There is no workflow "w1"' in await refusal(client, "workflow_status", workflow="w1")
    async with orchestration(settings) as client:
        assert "this one stands alone" in await refusal(client, "start_workflow", name="w")


def test_the_engine_is_not_imported_before_a_workflow_is_asked_for() -> None:
    check = (
        "import sys, pygent_orchestration.server; print({'dbos', 'sqlalchemy', 'yaml'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


async def test_a_defect_of_a_server_fails_the_step_and_undoes_the_others(settings: Settings) -> None:
    undo = 'undo = { tool = "work__do", with = { what = "undone" } }'
    text = does("one", undo) + does("defect", 'needs = ["one"]')
    peers = Peers()
    async with orchestration(settings, peers) as client:
        failed = await ran(client, text)
    assert failed["error"] == 'Step "defect" failed: RuntimeError: the wire is cut'
    assert states(failed) == {"one": "done", "defect": "failed"}
    assert peers.calls[-1][1] == {"what": "undone"}
