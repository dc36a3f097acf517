from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.settings import Settings, rows

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
DISCOVER = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": ENVELOPE}}
GREETING = "a library that greets at import\n"  # which must reach stderr, never the wire
OPENINGS = {"2025": [INITIALIZE, INITIALIZED], "2026": [DISCOVER]}

Start = Callable[..., Any]
Run = Callable[..., Any]

each_era = pytest.mark.parametrize("era", OPENINGS)


def call(era: str, tool: str, request_id: int | str = 2, **arguments: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if era == "2026":
        params["_meta"] = ENVELOPE
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


def lines(*messages: dict[str, Any]) -> str:
    return "".join(json.dumps(message) + "\n" for message in messages)


def text_of(answer: dict[str, Any]) -> str:
    return str(answer["result"]["content"][0]["text"])


def send(process: Any, *messages: dict[str, Any]) -> None:
    process.stdin.write(lines(*messages))
    process.stdin.flush()


def receive(process: Any) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(process.stdout.readline())
    return message


def ended_within(process: Any, seconds: float) -> int:
    """The exit code of a process that must end by itself; its pipes stay open meanwhile."""
    return int(process.wait(seconds))


@pytest.mark.parametrize("module", ["pygent_shared.serve", "pygent_shared.settings"])
def test_what_every_start_imports_is_light(script: Run, module: str) -> None:
    heavy = {"mcp", "mcp_types", "pydantic", "anyio", "starlette", "apsw"}
    done = script(f"import sys, {module}\nprint({heavy} & set(sys.modules))")

    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize(("opening", "knows"), [(INITIALIZE, "serverInfo"), (DISCOVER, "supportedVersions")])
def test_a_piped_question_is_answered_with_protocol_only_and_then_it_ends(
    start: Start, parsed: Run, opening: dict[str, Any], knows: str
) -> None:
    with start() as process:
        out, err = process.communicate(lines(opening), timeout=20)

    (answer,) = parsed(out)
    assert answer["id"] == 1
    assert knows in answer["result"]
    assert (err, process.returncode) == (GREETING, 0)


@each_era
def test_what_was_asked_before_stdin_ended_is_still_answered(start: Start, parsed: Run, era: str) -> None:
    asked = [call(era, "slow", number, seconds=0.5) for number in range(2, 6)]
    with start() as process:
        out, err = process.communicate(lines(*OPENINGS[era], *asked), timeout=20)

    first, *answers = parsed(out)
    assert first["id"] == 1
    assert [(answer["id"], text_of(answer)) for answer in answers] == [(id, "slept") for id in range(2, 6)]
    assert (err, process.returncode) == (GREETING, 0)


@each_era
def test_what_a_tool_prints_does_not_reach_the_wire(start: Start, parsed: Run, era: str) -> None:
    with start() as process:
        out, err = process.communicate(lines(*OPENINGS[era], call(era, "chatter")), timeout=20)

    assert [answer["id"] for answer in parsed(out)] == [1, 2]
    assert "this must not reach the wire" in err


@pytest.mark.parametrize(("era", "tool"), [("2025", "slow"), ("2026", "stuck")])
def test_what_is_never_answered_holds_the_end_up_only_so_long(
    start: Start, settings: Settings, parsed: Run, era: str, tool: str
) -> None:
    asked = lines(*OPENINGS[era], call(era, tool, seconds=60), call(era, "greet", 3, name="Ada"))
    with start(env={"THIRD_PARTY_PATIENCE": "0.5"}) as process:
        out, _ = process.communicate(asked, timeout=10)

    assert {answer["id"]: "error" in answer for answer in parsed(out) if answer["id"] != 2} == {
        1: False,
        3: False,
    }
    assert process.returncode == 0


def test_a_request_taken_back_does_not_hold_the_end_up(start: Start, parsed: Run) -> None:
    taken_back = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}
    strange = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": [2]}}
    asked = lines(INITIALIZE, INITIALIZED, call("2025", "slow", seconds=60), strange, taken_back)
    with start(env={"THIRD_PARTY_PATIENCE": "60"}) as process:
        out, _ = process.communicate(asked, timeout=20)

    assert [answer["id"] for answer in parsed(out)] == [1]


def test_a_subscription_does_not_hold_the_end_up(start: Start) -> None:
    params = {"_meta": ENVELOPE, "notifications": {"toolsListChanged": True}}
    listen = {"jsonrpc": "2.0", "id": 2, "method": "subscriptions/listen", "params": params}
    with start(env={"THIRD_PARTY_PATIENCE": "60"}) as process:
        send(process, DISCOVER, listen)
        assert {receive(process).get("id"), receive(process).get("method")} == {
            1,
            "notifications/subscriptions/acknowledged",
        }
        process.communicate(timeout=5)

    assert process.returncode == 0


def test_lines_that_are_no_message_cost_nothing_but_themselves(start: Start, parsed: Run) -> None:
    rubbish = 'not json\n{"jsonrpc": "1.0"}\n[]\n\n\x00\n{"half": \n'
    with start() as process:
        out, _ = process.communicate(rubbish + lines(INITIALIZE), timeout=20)

    assert [answer["id"] for answer in parsed(out) if "result" in answer] == [1]


@pytest.mark.parametrize(("era", "told"), [("2025", signal.SIGTERM), ("2026", signal.SIGINT)])
def test_a_signal_ends_it_properly(start: Start, settings: Settings, era: str, told: signal.Signals) -> None:
    with start() as process:
        send(process, *OPENINGS[era], call(era, "slow", seconds=60))
        assert receive(process)["id"] == 1
        process.send_signal(told)

        assert ended_within(process, 3) == 0
        assert process.stderr.read() == GREETING
    assert (settings.data_dir / "life").read_text() == "begun ended "


def test_a_signal_ends_it_within_seconds_though_a_tools_thread_is_stuck(start: Start) -> None:
    stuck, after = call("2026", "stuck", seconds=60), call("2026", "greet", 3, name="Ada")
    with start() as process:
        send(process, DISCOVER, stuck, after)
        assert {receive(process)["id"], receive(process)["id"]} == {1, 3}
        process.send_signal(signal.SIGTERM)

        assert ended_within(process, 3) == 0


PARENT = """
import json, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "third_party", *sys.argv[1:]], stderr=2)
print(child.pid, file=sys.stderr, flush=True)
sys.stdin.close()
os.read(3, 1)
"""


def gone_within(pid: int, seconds: float) -> bool:
    """Whether a process that is no child of ours ends in time; it is killed where it does not."""
    process = os.pidfd_open(pid)
    try:
        if select.select([process], [], [], seconds)[0]:
            return True
        os.kill(pid, signal.SIGKILL)
        return False
    finally:
        os.close(process)


needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="only Linux tells when a stranger ends"
)


@needs_pidfd
@pytest.mark.parametrize(("flags", "ends"), [((), True), (("--exit-with-parent", "no"), False)])
def test_it_ends_with_its_parent_though_somebody_else_holds_the_pipe(
    environ: dict[str, str], flags: tuple[str, ...], ends: bool
) -> None:
    may_end, end = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", f"import os; os.dup2({may_end}, 3)\n{PARENT}", *flags],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[may_end],
    ) as parent:
        assert parent.stderr is not None
        pid = int(parent.stderr.readline())
        send(parent, INITIALIZE)
        assert receive(parent)["id"] == 1
        os.write(end, b"x")
        assert parent.wait(10) == 0

        assert gone_within(pid, 3 if ends else 2) is ends
    os.close(may_end)
    os.close(end)


@needs_pidfd
def test_it_ends_though_its_parent_was_gone_before_it_was_ready(environ: dict[str, str]) -> None:
    hasty = (
        "import os, subprocess, sys\n"
        "ends, _ = os.pipe()\n"
        "command = [sys.executable, '-c', sys.argv[1], str(ends)]\n"
        "child = subprocess.Popen(command, pass_fds=[ends])\n"
        "print(child.pid, file=sys.stderr, flush=True)\n"
        "sys.stdin.read(1)\n"
    )
    # The parent ends between the import of `serve`, which looks who started it, and the SDK's.
    serves = (
        "import os, sys; from pygent_shared.serve import serve; print('here', flush=True)\n"
        "os.read(int(sys.argv[1]), 1)\n"
        "serve('third_party.server:build_server', [])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hasty, serves],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stderr is not None
        assert parent.stdin is not None
        assert parent.stdout is not None
        pid = int(parent.stderr.readline())
        assert parent.stdout.readline() == "here\n"
        parent.stdin.write("x")
        parent.stdin.flush()
        parent.wait(10)

        assert gone_within(pid, 10)


def test_it_ends_in_silence_when_nobody_reads_its_answers(start: Start) -> None:
    with start() as process:
        process.stdout.close()
        send(process, INITIALIZE)

        assert ended_within(process, 10) == 0
        assert process.stderr.read() == GREETING


def test_stdio_without_a_stdin_is_refused_in_a_sentence(start: Start) -> None:
    with start(preexec_fn=lambda: os.close(0), stdin=None) as process:
        _, err = process.communicate(timeout=20)

    assert err == GREETING + "transport: stdio needs stdin and stdout open. Use: --transport http\n"
    assert process.returncode == 2


def test_help_lists_every_setting_with_its_default(start: Start) -> None:
    with start("--help") as process:
        out, _ = process.communicate(timeout=20)

    words = " ".join(out.split())
    for setting in rows():
        assert setting.help.split()[0] in words
        if setting.secret:
            assert setting.variable in words
            assert f"--{setting.name} " not in words
        else:
            assert "--" + setting.name.replace("_", "-") in words
    assert "[8700]" in words
    assert process.returncode == 0


def test_help_bears_a_percent_sign_in_a_folders_name(start: Start, tmp_path: Path) -> None:
    with start("--help", env={"HOME": str(tmp_path / "50%off"), "XDG_DATA_HOME": "/50%sale"}) as process:
        out, err = process.communicate(timeout=20)

    assert err == ""
    assert "/50%sale/pygent" in out


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["--transport", "pigeon"], "invalid choice: 'pigeon'"),
        (["--port", "many"], "--port is 'many', but it must be a whole number from 0 to 65535."),
        (["--config", "/no/such/file.json"], '"/no/such/file.json" does not exist.'),
    ],
)
def test_a_command_line_that_cannot_be_used_ends_with_two(
    start: Start, flags: list[str], complaint: str
) -> None:
    with start(*flags) as process:
        out, err = process.communicate(timeout=20)

    assert (out, process.returncode) == ("", 2)
    assert complaint in err
    assert "Traceback" not in err


def test_a_bad_variable_ends_with_two(start: Start) -> None:
    with start(env={"PYGENT_LOG_LEVEL": "loud"}) as process:
        _, err = process.communicate(timeout=20)

    assert process.returncode == 2
    assert err.startswith("PYGENT_LOG_LEVEL is 'loud', but it must be one of debug, info, warning, error.")


def test_a_server_that_cannot_start_says_its_sentence_and_ends_with_one(start: Start) -> None:
    with start(env={"THIRD_PARTY_BROKEN": "yes"}) as process:
        out, err = process.communicate(lines(INITIALIZE), timeout=20)

    assert (out, err) == ("", GREETING + "The third party cannot start. Plug it in.\n")
    assert process.returncode == 1
