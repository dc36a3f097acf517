"""Fetching pages: only from addresses that may be reached, checked at each hop and used as checked."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pygent_shared.addresses import is_public
from pygent_shared.errors import FileRefused
from pygent_shared.fetching import Page, fetch


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "2606:2800:220:1::1",
        "::ffff:93.184.216.34",
        "2002:5db8:d822::1",
        "64:ff9b::5db8:d822",
    ],
)
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 127.9.9.9 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 "
    "255.255.255.255 240.0.0.1 192.0.2.1 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12::1 ff02::1 "
    "fec0::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 2002:7f00:1::1 2002:a00:1::1 64:ff9b::7f00:1 "
    "64:ff9b::a9fe:a9fe 64:ff9b:1:7f00::100:0:0 64:ff9b:1::7f00:1 ::7f00:1 ::808:808 2001:db8::1 "
    "2001:0:a00:1::f7f7:f7f7 2001:0:808:808::80ff:fffe localhost 127.1 2130706433".split(),
)
def test_all_others_and_what_leads_to_them_are_not(address: str) -> None:
    assert not is_public(address)


class Site(BaseHTTPRequestHandler):
    """A small site; what was asked of it is in `asked`."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.headers['host'].partition(':')[0]}{self.path}")
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path.partition("?")[0].strip("/").replace(".", "_"))()

    def page_html(self) -> None:
        self.answer(b"<h1>Tides</h1>", "Content-Type: text/html; charset=ISO-8859-15")

    def moved(self) -> None:
        self.answer(b"", f"Location: {self.path.partition('?')[2]}", status=302)

    def packed(self) -> None:
        self.answer(gzip.compress(b"<p>tide"), "Content-Type: text/html", "Content-Encoding: gzip")

    def bomb(self) -> None:
        self.answer(gzip.compress(b"0" * 3_000_000), "Content-Encoding: gzip")

    def brotli(self) -> None:
        self.answer(b"x", "Content-Encoding: br")

    def large(self) -> None:
        self.answer(b"0" * 2_000_000)

    def drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b".")
            time.sleep(0.02)

    def missing(self) -> None:
        self.answer(b"", status=404)

    def answer(self, body: bytes, *headers: str, status: int = 200) -> None:
        self.send_response(status)
        for header in headers:
            self.send_header(*header.split(": ", 1))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ThisSite", (Site,), {"asked": asked}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def get(
    url: str, *, allow: Callable[[str], bool] = lambda address: address == "127.0.0.1", **options: object
) -> Page:
    given = {"max_bytes": 1_000_000, "seconds": 10.0, "poll": lambda: None, "allowed": allow, **options}
    return fetch(url, **given)  # type: ignore[arg-type]


def test_a_page_comes_with_what_it_says_it_is(site: tuple[str, list[str]]) -> None:
    url, _ = site
    page = get(f"{url}/moved?/page.html")
    assert page == Page(
        url=f"{url}/page.html", data=b"<h1>Tides</h1>", media_type="text/html", charset="iso-8859-15"
    )
    assert get(f"{url}/packed").data == b"<p>tide"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_refused_however_it_is_spelled(site: tuple[str, list[str]], host: str) -> None:
    url, asked = site
    with pytest.raises(FileRefused, match="is not an address of the open Internet"):
        get(url.replace("127.0.0.1", host), allow=is_public)
    assert asked == []


def test_each_hop_is_checked_anew(site: tuple[str, list[str]]) -> None:
    url, asked = site
    with pytest.raises(FileRefused, match=r"is at 169\.254\.169\.254, which is not an address"):
        get(f"{url}/moved?http://169.254.169.254/latest/meta-data", seconds=5.0)
    assert len(asked) == 1
    with pytest.raises(FileRefused, match="does not lead to, a plain http"):
        get(f"{url}/moved?file:///etc/passwd")
    with pytest.raises(FileRefused, match="leads on more than 5 times"):
        get(f"{url}/moved?/moved?/moved?/moved?/moved?/moved?/page.html")


def test_the_address_that_was_checked_is_the_one_connected_to(site: tuple[str, list[str]]) -> None:
    url, asked = site
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])  # a name that rebinds: asked twice it would lead elsewhere

    async def rebinding(host: str, port: int) -> list[str]:
        assert host == "tides.example"
        return next(answers)

    page = get(url.replace("127.0.0.1", "tides.example") + "/page.html", resolve=rebinding)
    assert page.data == b"<h1>Tides</h1>"
    assert asked == ["tides.example/page.html"]
    assert next(answers) == ["10.0.0.1"]


def test_a_name_with_one_private_address_is_refused(site: tuple[str, list[str]]) -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "127.0.0.1"]

    with pytest.raises(FileRefused, match=r"is at 127\.0\.0\.1"):
        get("http://tides.example/", resolve=both, allow=is_public)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/large", "has more than the 1 MB"),
        ("/bomb", "has more than the 1 MB"),
        ("/brotli", "came packed as br"),
        ("/missing", "answered 404 Not Found"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_reason(
    site: tuple[str, list[str]], path: str, why: str
) -> None:
    with pytest.raises(FileRefused, match=why):
        get(site[0] + path)


def test_a_page_that_drips_is_given_up_in_time(site: tuple[str, list[str]]) -> None:
    began = time.monotonic()
    with pytest.raises(FileRefused, match=r"was not there within 0\.5 s"):
        get(f"{site[0]}/drip", seconds=0.5)
    assert time.monotonic() - began < 5


def test_the_caller_can_end_it(site: tuple[str, list[str]]) -> None:
    def poll() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(f"{site[0]}/drip", poll=poll)


def test_a_host_that_is_not_there_is_refused_in_a_sentence(site: tuple[str, list[str]]) -> None:
    with pytest.raises(FileRefused, match="cannot be reached"):
        get("http://127.0.0.1:9/")
    with pytest.raises(FileRefused, match="plain http"):
        get("http://user:secret@127.0.0.1/")
