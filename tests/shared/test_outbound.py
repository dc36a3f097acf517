"""Where requests are sent, and where they are not, however the place is spelled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from typing import Any

import anyio
import httpx2
import pytest

from pygent_shared.http import outbound
from pygent_shared.http.outbound import Blocked, Outbound, why_blocked

pytestmark = pytest.mark.anyio


class _Here(BaseHTTPRequestHandler):
    """Answers "here"; at a path such as /text/plain/9/3, three times nine bytes of that type."""

    def do_GET(self) -> None:
        asked = self.path.strip("/").split("/")
        body = [b"here"]
        if len(asked) == 4:
            body = [b"x" * (int(asked[2]) - 2) + b"\n\n"] * int(asked[3])
        self.send_response(200)
        self.send_header("Content-Length", str(sum(map(len, body))))
        self.send_header("Content-Type", "/".join(asked[:2]))
        if self.path == "/compressed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        with suppress(ConnectionError):
            for part in body:
                self.wfile.write(part)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Where somebody answers on this machine."""
    with HTTPServer(("127.0.0.1", 0), _Here) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


async def get(url: str, **options: Any) -> str:
    async with httpx2.AsyncClient(transport=Outbound(**options), timeout=5) as http:
        return (await http.get(url)).text


@pytest.mark.parametrize(
    "place",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2001:0:a9fe:a9fe::f7f7:f7f7",
        "2001:0:808:808::5601:5601",
        "::a9fe:a9fe",
        "::7f00:1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ],
)
async def test_addresses_that_only_a_machines_own_host_answers_are_blocked(place: str) -> None:
    assert why_blocked(ip_address(place))


@pytest.mark.parametrize(
    "place",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "10.1.2.3",
        "192.168.1.5",
        "172.16.0.1",
        "fd12::1",
        "100.64.0.1",
        "8.8.8.8",
        "::ffff:10.1.2.3",
        "64:ff9b:1::808:808",
        "2001:0:808:808::f7f7:f7f7",
    ],
)
async def test_loopback_and_private_networks_are_where_people_have_their_servers(place: str) -> None:
    assert why_blocked(ip_address(place)) is None


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",  # the same as one number
        "0xa9fea9fe",
        "0251.0376.43518",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
    ],
)
async def test_every_spelling_is_blocked_before_a_connection_is_tried(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def connect_tcp(remote_host: str, *args: Any, **more: Any) -> Any:
        tried.append(remote_host)
        raise OSError("tried")

    monkeypatch.setattr(anyio, "connect_tcp", connect_tcp)
    with pytest.raises(httpx2.ConnectError, match="link-local") as refused:
        await get(f"http://{host}/latest/meta-data/")
    assert isinstance(refused.value.__cause__, Blocked)
    assert not tried
    with pytest.raises(httpx2.ConnectError, match="tried"):
        await get(f"http://{host}/latest/meta-data/", anywhere=True)


class Names:
    """A name that resolves to one address after another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0
        known = anyio.getaddrinfo

        async def getaddrinfo(host: str, port: int, **more: Any) -> Any:
            if host != "rebinds.example":
                return await known(host, port, **more)
            self.asked += 1
            return [(2, 1, 6, "", (address, port)) for address in self.answers.pop(0)]

        monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)


async def test_the_connection_goes_to_the_address_that_was_looked_at(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    assert await get(f"http://rebinds.example:{port}/") == "here"
    assert names.asked == 1
    with pytest.raises(httpx2.ConnectError, match="link-local"):
        await get(f"http://rebinds.example:{port}/")


async def test_a_name_with_one_blocked_address_is_blocked(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, ["127.0.0.1", "169.254.169.254"])
    with pytest.raises(httpx2.ConnectError, match="link-local"):
        await get(f"http://rebinds.example:{port}/")


async def test_the_next_address_is_tried_where_one_does_not_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    assert await get(f"http://rebinds.example:{port}/") == "here"


async def test_a_name_that_nobody_knows_is_told_as_one() -> None:
    with pytest.raises(httpx2.ConnectError, match=r'the name "no-such-host\.invalid" cannot be resolved'):
        await get("http://no-such-host.invalid/")


# What comes back.


async def test_an_answer_is_taken_up_to_a_size(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "MOST_BYTES", 1 << 20)
    assert len(await get(f"http://127.0.0.1:{port}/application/json/1000000/1")) == 1_000_000
    with pytest.raises(httpx2.RemoteProtocolError, match="more than 1 MiB"):
        await get(f"http://127.0.0.1:{port}/application/json/100000/11")


async def test_of_an_event_stream_each_event_counts_alone(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "MOST_BYTES", 1 << 20)
    assert len(await get(f"http://127.0.0.1:{port}/text/event-stream/100000/30")) == 3_000_000
    with pytest.raises(httpx2.RemoteProtocolError, match="more than 1 MiB"):
        await get(f"http://127.0.0.1:{port}/text/event-stream/2000000/1")


async def test_what_is_compressed_unasked_is_not_unpacked(port: int) -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="compressed"):
        await get(f"http://127.0.0.1:{port}/compressed")
