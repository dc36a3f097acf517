from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer

from pygent_shared.errors import FileRefused, InvalidArgument, NotStarted, PortTaken, ours
from pygent_shared.http.app import build_app
from pygent_shared.http.guard import Guard
from pygent_shared.http.identity import OwnToken
from pygent_shared.http.protocol import LARGEST_HEAD, MOST_HEADERS
from pygent_shared.http.run import GRACE_SECONDS, address, listen, running
from pygent_shared.http.token import bearer_token, token_file
from pygent_shared.serve import lowlevel
from pygent_shared.settings import Settings
from pygent_shared.testing import ERAS, TOKEN

pytestmark = pytest.mark.anyio

Start = Callable[..., Any]
Address = Callable[[Any], str]

ASKING = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def served(settings: Settings, token: str = TOKEN, **options: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A plain HTTP client of an empty MCP server."""
    listener = listen(settings)
    app = build_app({"/mcp": lowlevel(MCPServer("empty"))}, settings, token, **options)
    async with running(app, listener), httpx2.AsyncClient(base_url=address(listener), timeout=20) as http:
        yield http


@asynccontextmanager
async def client(url: str, era: str, token: str = TOKEN) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=ERAS[era]) as connected:
            yield connected


# The token


def test_a_token_is_made_once_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new" / "data")
    token = bearer_token(settings)

    assert re.fullmatch(r"[\w-]{43}", token)
    assert stat.S_IMODE(token_file(settings).stat().st_mode) == 0o600
    assert bearer_token(settings) == token
    assert [entry.name for entry in settings.data_dir.iterdir()] == ["token"]


def test_processes_that_start_at_once_agree_on_one_token(tmp_path: Path, environ: dict[str, str]) -> None:
    asks = (
        "import sys; from pathlib import Path\n"
        "from pygent_shared.http.token import bearer_token; from pygent_shared.settings import Settings\n"
        "print(flush=True); sys.stdin.readline()\n"
        "print(bearer_token(Settings(data_dir=Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", asks, str(tmp_path / "data")]
    processes = [Popen(command, env=environ, stdin=PIPE, stdout=PIPE, text=True) for _ in range(10)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    tokens = {process.communicate("\n", timeout=60)[0].strip() for process in processes}

    assert tokens == {(tmp_path / "data" / "token").read_text().strip()}
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["token"]


def test_a_token_that_was_given_is_used_and_none_is_made(tmp_path: Path) -> None:
    assert bearer_token(Settings(data_dir=tmp_path / "data", token="given")) == "given"
    assert bearer_token(Settings(data_dir=tmp_path / "data", auth="none")) == ""
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"two words\n"])
def test_a_token_file_without_a_token_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)

    with pytest.raises(FileRefused, match="holds no usable access token"):
        bearer_token(Settings(data_dir=tmp_path))


def test_a_folder_that_cannot_hold_the_token_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FileRefused, match=r"cannot hold the access token: .*export PYGENT_DATA_DIR="):
        bearer_token(Settings(data_dir=tmp_path / "file"))


# The guard


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/mcp", {}, 401),
        ("/mcp", {"Authorization": "Bearer wrong"}, 401),
        ("/mcp", {"Authorization": f"Bearer {TOKEN}x"}, 401),
        ("/mcp", {"Authorization": f"Basic {TOKEN}"}, 401),
        ("/mcp", {"Authorization": "Bearer"}, 401),
        ("/mcp", {"Authorization": "Bearer t\xf6ken".encode("latin-1").decode("latin-1")}, 401),
        ("/no/such/path", {}, 401),
        ("/no/such/path", BEARER, 404),
        ("/mcp", BEARER | {"Host": "evil.example"}, 421),
        ("/mcp", BEARER | {"Host": "localhost.evil.example:80"}, 421),
        ("/mcp", BEARER | {"Origin": "https://evil.example"}, 403),
        ("/mcp", BEARER | {"Origin": "http://localhost.evil.example"}, 403),
        ("/mcp", BEARER | {"Origin": "null"}, 403),
        ("/health/live", {}, 200),
        ("/health/ready", {}, 200),
        ("/health/live", {"Host": "evil.example"}, 421),
        ("/health/live", {"Origin": "https://evil.example"}, 403),
        ("/health/live", {"Origin": ""}, 403),
        ("/health/live", {"Origin": "http://localhost:3000"}, 200),
        ("/health/live", {"Host": "LOCALHOST:1"}, 200),
        ("/health/live", {"Host": "[::1]:1"}, 200),
    ],
)
async def test_who_may_call(settings: Settings, path: str, headers: dict[str, str], status: int) -> None:
    async with served(settings) as http:
        response = await http.get(
            path, headers={name: value.encode("latin-1") for name, value in headers.items()}
        )

    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)
    if status in (401, 403, 421):
        assert response.json()["error"].count(". ") >= 1 or ": " in response.json()["error"]
        assert TOKEN not in response.text


async def test_names_and_origins_that_were_allowed_may_call(settings: Settings) -> None:
    import dataclasses

    allowing = dataclasses.replace(
        settings, allowed_hosts=("Box.example:8700", "fe80::1"), allowed_origins=("https://page.example",)
    )
    async with served(allowing) as http:
        for headers in (
            {"Host": "box.example"},
            {"Host": "box.example:9"},
            {"Host": "[fe80::1]:9"},
            {"Origin": "https://page.example"},
        ):
            assert (await http.get("/health/live", headers=headers)).status_code == 200
        asks = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        asks["Access-Control-Request-Headers"] = "authorization,content-type"
        may = await http.options("/mcp", headers=asks)
        other = await http.options("/mcp", headers=asks | {"Origin": "https://evil.example"})
        refused = await http.post("/mcp", headers={"Origin": "https://page.example"})

    assert (may.status_code, other.status_code, refused.status_code) == (200, 400, 401)
    assert may.headers["access-control-allow-origin"] == "https://page.example"
    assert "authorization" in may.headers["access-control-allow-headers"]
    assert refused.headers["access-control-allow-origin"] == "https://page.example"


async def test_without_auth_whoever_is_on_this_machine_may_call(settings: Settings) -> None:
    async with served(settings, token="") as http:
        assert (await http.get("/no/such/path")).status_code == 404
        assert (await http.get("/no/such/path", headers={"Host": "evil.example"})).status_code == 421


TEXT = st.text(st.characters(max_codepoint=255))


@given(host=TEXT, origin=TEXT, authorization=TEXT)
def test_no_header_whatever_gets_in_without_the_token(host: str, origin: str, authorization: str) -> None:
    statuses: list[int] = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        statuses.append(200)

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    async def ask() -> None:
        headers = {"host": host, "origin": origin, "authorization": authorization}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": raw}
        await Guard(inside, Settings(), [OwnToken("sesame")])(scope, send, send)

    anyio.run(ask)

    assert statuses[0] in (401, 403, 421)


async def test_a_server_that_is_not_ready_says_so_with_503_and_why_to_who_has_the_token(
    settings: Settings,
) -> None:
    async with served(settings, readiness=lambda: {"ready": False, "waits_for": ["rag"]}) as http:
        answers = [
            await http.get("/health/ready", headers=headers)
            for headers in ({}, {"Authorization": "Bearer wrong"}, BEARER)
        ]

    assert {answer.status_code for answer in answers} == {503}
    assert [answer.json() for answer in answers] == [
        {"ready": False},
        {"ready": False},
        {"ready": False, "waits_for": ["rag"]},
    ]


# Sessions of the 2025 era


async def test_a_session_ends_when_its_time_is_over_however_busy_it_is(settings: Settings) -> None:
    accept = {**BEARER, "Accept": "application/json, text/event-stream"}
    who = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": who}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with served(replace(settings, session_lifetime=1)) as http:
        opened = await http.post("/mcp", json=hello, headers=accept)
        session = {**accept, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
        statuses = []
        with anyio.fail_after(10):
            while not statuses or statuses[-1] == 200:
                statuses.append((await http.post("/mcp", json=ping, headers=session)).status_code)
                await anyio.sleep(0.05)
        again = await http.post("/mcp", json=hello, headers=accept)

    assert statuses[0] == 200
    assert statuses[-1] == 404
    assert again.status_code == 200
    assert len(bytes.fromhex(again.headers["mcp-session-id"])) * 8 >= 128


# The socket


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0", "192.168.1.2", "box.example"])
def test_an_address_open_to_the_network_is_refused_without_authentication(host: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"network call {host}\. Use a token: --auth token"):
        listen(Settings(auth="none", host=host, port=0))


def test_an_address_that_is_not_this_machines_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"192\.0\.2\.1 cannot be listened on: .*Use: --host 127"):
        listen(Settings(host="192.0.2.1", port=0))


def test_a_port_of_the_administrators_is_refused_with_another(environ: dict[str, str]) -> None:
    asks = (
        "import os\n"
        "from pygent_shared.errors import InvalidArgument; from pygent_shared.http.run import listen\n"
        "from pygent_shared.settings import Settings\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: listen(Settings(port=1)); print('it may')\n"
        "except InvalidArgument as error: print(error)\n"
    )
    with Popen([sys.executable, "-c", asks], env=environ, stdout=PIPE, text=True) as process:
        out, _ = process.communicate(timeout=60)

    if out == "it may\n":
        pytest.skip("this machine lets everybody use every port")
    assert out == "port: 1 is reserved for the system's administrator. Use one from 1024 on: --port 8700\n"


@contextmanager
def other_program(answer: bytes) -> Iterator[int]:
    """A program on a port of ours that gives every caller the same answer, or none."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.sendall(answer)
                caller.recv(1000)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi!",
    ],
)
def test_a_port_another_program_has_is_refused_with_a_cure(answer: bytes) -> None:
    with other_program(answer) as port, pytest.raises(PortTaken) as caught:
        listen(Settings(port=port))

    assert str(caught.value) == (
        f"Port {port} on 127.0.0.1 is taken by another program. "
        f"Choose a free port and start elsewhere: --port {port + 1}"
    )


async def test_a_port_another_pygent_has_is_refused_with_its_pid_and_address(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nobody asks a proxy about this machine
    async with served(settings) as http:
        port = http.base_url.port
        with pytest.raises(PortTaken) as caught:
            await anyio.to_thread.run_sync(listen, Settings(port=port or 0))

    assert str(caught.value) == (
        f"Port {port} on 127.0.0.1 is taken by another pygent (pid {os.getpid()}). "
        f"Use it: http://127.0.0.1:{port}/mcp — or start elsewhere: --port {(port or 0) + 1}"
    )


def test_over_ip_version_6_it_listens_and_names_what_is_taken() -> None:
    try:
        listener = listen(Settings(host="::1", port=0))
    except InvalidArgument:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        with pytest.raises(PortTaken, match="is taken by another program"):
            listen(Settings(host="::1", port=listener.getsockname()[1]))


# The protocol


async def test_blanks_around_a_header_are_no_part_of_it(settings: Settings) -> None:
    async with served(settings, "") as http, await anyio.connect_tcp(*local(http)) as tcp:
        await tcp.send(b"GET /health/live HTTP/1.1\r\nHost: \t localhost \t \r\n\r\n")

        assert (await tcp.receive()).startswith(b"HTTP/1.1 200 ")


async def test_a_head_without_an_end_is_refused(settings: Settings) -> None:
    async with served(settings, "") as http, await anyio.connect_tcp(*local(http)) as tcp:
        await tcp.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * LARGEST_HEAD)
        with anyio.fail_after(10):
            answer = await tcp.receive()

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert (await http.get("/health/live")).status_code == 200


@pytest.mark.parametrize(
    "head",
    [{"X": "x" * LARGEST_HEAD}, {f"X-{number}": "" for number in range(MOST_HEADERS)}],
    ids=["long", "many"],
)
async def test_a_head_that_is_long_or_of_many_headers_is_refused(
    settings: Settings, head: dict[str, str]
) -> None:
    async with served(settings, "") as http:
        assert (await http.get("/health/live", headers=head)).status_code == 400
        few = dict(list(head.items())[: MOST_HEADERS // 2]) if len(head) > 1 else {}
        assert (await http.get("/health/live", headers=few)).status_code == 200


async def test_a_long_body_has_no_long_head(settings: Settings) -> None:
    async with served(settings, "") as http:
        answer = await http.post("/mcp", content=b" " * 10 * LARGEST_HEAD, headers=ASKING)

    assert answer.status_code == 400
    assert "JSON" in answer.text or "Parse error" in answer.text


def local(http: httpx2.AsyncClient) -> tuple[str, int]:
    assert http.base_url.port is not None
    return http.base_url.host, http.base_url.port


# The running server


@pytest.mark.parametrize("era", ERAS)
async def test_both_eras_are_served_on_one_path(
    start: Start, listening: Address, settings: Settings, era: str
) -> None:
    with start("--transport", "http") as process:
        url = await anyio.to_thread.run_sync(listening, process)
        async with client(url, era) as connected:
            assert connected.protocol_version.startswith(era)
            result: Any = await connected.call_tool("greet", {"name": "Ada"})
            assert result.content[0].text == "hello Ada"
        process.send_signal(signal.SIGTERM)

        assert await anyio.to_thread.run_sync(process.wait, 4) == 0
    assert (settings.data_dir / "life").read_text() == "begun ended "


@pytest.mark.parametrize(("era", "tool"), [("2025", "slow"), ("2026", "stuck")])
async def test_a_signal_ends_it_within_seconds_also_with_a_call_in_hand(
    start: Start, listening: Address, era: str, tool: str
) -> None:
    with start("--transport", "http") as process:
        url = await anyio.to_thread.run_sync(listening, process)
        with pytest.raises(BaseExceptionGroup):  # noqa: PT012  (the SDK's client ends with its server)
            async with client(url, era) as connected, anyio.create_task_group() as tasks:
                await connected.list_tools()
                tasks.start_soon(connected.call_tool, tool, {"seconds": 60})
                await connected.call_tool("greet", {"name": "Ada"})
                process.send_signal(signal.SIGTERM)
                assert await anyio.to_thread.run_sync(process.wait, 4) == 0
                tasks.cancel_scope.cancel()
                raise ExceptionGroup("ended", [ValueError()])


async def test_an_open_event_stream_does_not_hold_the_end_up(start: Start, listening: Address) -> None:
    with start("--transport", "http") as process:
        url = await anyio.to_thread.run_sync(listening, process)
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=BEARER, timeout=20))
            hello = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "initialize",
                "params": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "clientInfo": {"name": "t", "version": "0"},
                },
            }
            accept = {"Accept": "application/json, text/event-stream"}
            begun = await http.post(f"{url}/mcp", json=hello, headers=accept)
            session = accept | {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
            stream = await stack.enter_async_context(http.stream("GET", f"{url}/mcp", headers=session))
            assert stream.headers["content-type"].startswith("text/event-stream")
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(GRACE_SECONDS):  # that long only calls are given
                assert b"".join([part async for part in stream.aiter_bytes()]) == b""  # ended, not torn

        assert await anyio.to_thread.run_sync(process.wait, 4) == 0
        assert process.stderr.read() == ""


async def test_a_call_in_hand_gets_the_time_to_end(start: Start, listening: Address) -> None:
    with start("--transport", "http") as process:
        url = await anyio.to_thread.run_sync(listening, process)
        answers: list[Any] = []

        async def call(connected: Client) -> None:
            answers.append(await connected.call_tool("slow", {"seconds": 0.5}))

        async with client(url, "2026") as connected, anyio.create_task_group() as tasks:
            await connected.list_tools()
            tasks.start_soon(call, connected)
            await connected.call_tool("greet", {"name": "Ada"})
            process.send_signal(signal.SIGTERM)

        assert answers[0].content[0].text == "slept"
        assert await anyio.to_thread.run_sync(process.wait, 4) == 0


async def test_the_token_appears_neither_in_the_log_nor_on_the_command_line(
    start: Start, listening: Address, environ: dict[str, str]
) -> None:
    secret = "sesame-open-0123456789"
    with start("--transport", "http", "--log-level", "debug", env={"PYGENT_TOKEN": secret}) as process:
        url = await anyio.to_thread.run_sync(listening, process)
        command_line = Path(f"/proc/{process.pid}/cmdline")
        assert not command_line.exists() or secret not in command_line.read_text()
        async with client(url, "2025", secret) as connected:
            await connected.call_tool("crash")
        async with httpx2.AsyncClient() as http:
            refused = await http.post(f"{url}/mcp", headers={"Authorization": f"Bearer {secret}x"})
        process.send_signal(signal.SIGTERM)
        await anyio.to_thread.run_sync(process.wait, 4)
        log = process.stderr.read()

    assert refused.status_code == 401
    assert "the inside of the machine" in log  # the log was listened to
    assert secret not in log


async def test_a_generated_token_is_announced_by_its_file(
    start: Start, listening: Address, settings: Settings
) -> None:
    with start("--transport", "http", env={"PYGENT_TOKEN": ""}) as process:
        url = await anyio.to_thread.run_sync(listening, process)
        token = (settings.data_dir / "token").read_text().strip()
        assert process.stderr.readline() == f"Callers send the bearer token in {settings.data_dir}/token\n"
        async with client(url, "2026", token) as connected:
            assert (await connected.list_tools()).tools


def test_a_server_that_cannot_start_ends_with_one_and_a_sentence(start: Start) -> None:
    with start("--transport", "http", env={"THIRD_PARTY_BROKEN": "yes"}) as process:
        _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "The third party cannot start. Plug it in." in err
    assert err.splitlines()[-1].startswith("Nothing is served on http://127.0.0.1:")


async def test_what_fails_to_start_in_this_process_is_raised_here(settings: Settings) -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise OSError("no such disk")
        yield

    with pytest.raises(BaseExceptionGroup) as caught:
        async with served(settings, around=broken):
            pytest.fail("it was not to start")

    assert [type(error) for error in ours(caught.value)] == [NotStarted]


def test_it_ends_with_its_parent_only_where_that_is_wanted(
    environ: dict[str, str], listening: Address
) -> None:
    parent_source = (
        "import subprocess, sys\n"
        "flags = ['--transport', 'http', *sys.argv[1:]]\n"
        "subprocess.Popen([sys.executable, '-m', 'third_party', *flags])\n"
        "sys.stdin.read(1)\n"
    )
    for wanted in ("yes", "auto"):
        with Popen(
            [sys.executable, "-c", parent_source, "--exit-with-parent", wanted],
            env=environ,
            stdin=PIPE,
            stderr=PIPE,
            text=True,
        ) as parent:
            assert parent.stderr is not None
            url = listening(parent)
            pid = httpx2.get(f"{url}/health/live").json()["pid"]
            assert parent.stdin is not None
            parent.stdin.write("x")
            parent.stdin.flush()
            parent.wait(10)
            if wanted == "yes":
                # The child held stderr open; its end is the end of the child.
                assert parent.stderr.read() == ""
            else:
                assert httpx2.get(f"{url}/health/live").json()["pid"] == pid
                os.kill(pid, signal.SIGTERM)
                assert parent.stderr.read() == ""
