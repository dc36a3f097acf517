"""Pages of the web, fetched so that nobody can make this machine fetch what only it can reach.

The one rule: a connection goes to an address that was checked, never to a name. The name is looked up once
for each hop, its addresses are checked, and one of them is connected to: a name that answers differently the
next time changes nothing, and a redirect is a new hop.
"""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from functools import partial

import anyio
import anyio.to_thread
import httpx2

from pygent_shared.addresses import is_public
from pygent_shared.errors import FileRefused

MOST_HOPS = 5
POLL_SECONDS = 0.1
HEADERS = {"User-Agent": "pygent-rag", "Accept-Encoding": "identity"}

Allowed = Callable[[str], bool]
"""Whether an IP address may be connected to."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host name."""

Poll = Callable[[], None]
"""Called now and then; ends the fetching by raising."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What was found at a URL.

    Attributes:
        url: where redirects led in the end.
        media_type: such as "text/html"; "" where nothing was said.
        charset: as it was said; "" mostly.
    """

    url: str
    data: bytes
    media_type: str = ""
    charset: str = ""


async def lookup(host: str, port: int) -> list[str]:
    """A host's addresses, as the system knows them."""
    asked = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await anyio.to_thread.run_sync(asked, abandon_on_cancel=True)
    return [str(address[0]) for *_, address in found]


def fetch(
    url: str,
    *,
    max_bytes: int,
    seconds: float,
    poll: Poll,
    allowed: Allowed = is_public,
    resolve: Resolve = lookup,
) -> Page:
    """The page at a URL (http or https). For a thread that runs no event loop.

    Args:
        max_bytes: size above which it is refused.
        seconds: how long it may take in all.

    Raises:
        FileRefused: it cannot be had, or is not to be had from here.
    """
    outcome = anyio.run(_fetch, url, max_bytes, seconds, poll, allowed, resolve)
    if isinstance(outcome, Page):
        return outcome
    raise outcome


async def _fetch(
    url: str, max_bytes: int, seconds: float, poll: Poll, allowed: Allowed, resolve: Resolve
) -> Page | BaseException:
    """The page, or what is to be raised; a cancellation of the caller's must not be taken for one in here."""
    cure = "Try again later, or save it to a file and ingest that."
    outcome: Page | BaseException = FileRefused(url, f"was not there within {seconds:g} s", cure)

    async def work() -> None:
        nonlocal outcome
        try:
            transport = _Pinned(allowed, resolve)
            async with httpx2.AsyncClient(
                transport=transport, trust_env=False, timeout=seconds, headers=HEADERS
            ) as client:
                outcome = await _follow(client, url, max_bytes)
        except (FileRefused, httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, zlib.error) as error:
            outcome = _refusal(url, error)
        tasks.cancel_scope.cancel()

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            while True:
                await anyio.sleep(POLL_SECONDS)
                try:
                    poll()
                except BaseException as error:  # noqa: BLE001  (raised in `fetch`)
                    outcome = error
                    tasks.cancel_scope.cancel()
    return outcome


async def _follow(client: httpx2.AsyncClient, url: str, max_bytes: int) -> Page:
    """The page that a URL leads to in the end."""
    here = httpx2.URL(url)
    for _ in range(MOST_HOPS):
        if here.scheme not in ("http", "https") or not here.host or here.userinfo:
            why = "is not, or does not lead to, a plain http(s) URL without a user name"
            raise FileRefused(url, why, "Name such a URL.")
        async with client.stream("GET", here) as response:
            if response.has_redirect_location:
                here = here.join(response.headers["location"]).copy_with(fragment=None)
                continue
            if response.status_code != 200:
                why = f"answered {response.status_code} {response.reason_phrase}".rstrip()
                raise FileRefused(url, why, "Check the URL; a page that needs a login cannot be read.")
            said = Message()
            said["content-type"] = response.headers.get("content-type", "")
            return Page(
                url=str(here),
                data=await _body(response, url, max_bytes),
                media_type=said.get_content_type() if said["content-type"] else "",
                charset=str(said.get_content_charset("")),
            )
    raise FileRefused(url, f"leads on more than {MOST_HOPS} times", "Name the page it should lead to.")


async def _body(response: httpx2.Response, url: str, max_bytes: int) -> bytes:
    """The body, unpacked if need be; never more than `max_bytes` of it in memory."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > max_bytes:
            raise _too_large(url, max_bytes)
    if (encoding := response.headers.get("content-encoding", "identity").lower()) == "identity":
        return bytes(body)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FileRefused(url, f"came packed as {encoding}, unasked", "Save it to a file and ingest that.")
    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, max_bytes + 1)
    if len(unpacked) > max_bytes:
        raise _too_large(url, max_bytes)
    return unpacked


def _too_large(url: str, max_bytes: int) -> FileRefused:
    why = f"has more than the {max_bytes // 1_000_000} MB that are read"
    return FileRefused(url, why, "Allow more: export PYGENT_MAX_FILE_MB=…")


class _Pinned(httpx2.AsyncHTTPTransport):
    """Connects to addresses that were checked."""

    def __init__(self, allowed: Allowed, resolve: Resolve) -> None:
        super().__init__(verify=ssl.create_default_context(), trust_env=False)
        self._allowed, self._resolve = allowed, resolve

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        host = url.raw_host.decode("ascii")
        addresses = await self._resolve(host, port)
        for address in addresses:
            if not self._allowed(address):
                cure = "If it is meant to be read, allow it: export PYGENT_PRIVATE_URLS=allow"
                why = f"is at {address}, which is not an address of the open Internet"
                raise FileRefused(str(url), why, cure)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = url.copy_with(host=addresses[0])
        return await super().handle_async_request(request)


def _refusal(url: str, error: Exception) -> FileRefused:
    """What went wrong on the way."""
    if isinstance(error, FileRefused):
        return error
    if isinstance(error, socket.gaierror):
        return FileRefused(url, "is on a host that is not known", "Check the spelling, and the network.")
    if isinstance(error, zlib.error):
        return FileRefused(url, "came damaged", "Try again later.")
    if isinstance(error, httpx2.InvalidURL | ValueError):
        return FileRefused(url, f"is not a URL that can be read ({error})", "Check its spelling.")
    return FileRefused(url, f"cannot be reached ({error or type(error).__name__})", "Try again later.")
