"""Requests to a public source at the pace it asks for, tried again when it is busy."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from threading import Lock

import anyio
import httpx2

from pygent_shared.errors import PeerError

SECONDS = 20.0
"""For one request."""
TRIES = 3
BACKOFF_SECONDS = 1.5
MOST_WAIT_SECONDS = 10.0
"""A source that asks for a longer pause is left alone."""
SECRET = "pygent_secret"
BUSY = frozenset({429, 500, 502, 503, 504})

Sleep = Callable[[float], Awaitable[None]]


class SourceFailed(PeerError):
    """A source that gave no usable answer."""

    def __init__(self, source: str, why: str) -> None:
        self.source, self.why = source, why
        super().__init__(f"{source} {why}. Try it again later.")


class NotThere(Exception):
    """A source that answers, and has no such paper."""


class Pace:
    """So many seconds between two requests, whoever makes them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0
        self._lock = Lock()

    def wait(self) -> float:
        """The seconds until one may be made; the next waits for longer."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._seconds
        return begin - now


class Polite:
    """One source's door.

    Args:
        source: its name, for people.
        http: sends the requests.
        pace: when the next may be sent.
        sleep: waits.
    """

    def __init__(
        self, source: str, http: httpx2.AsyncClient, pace: Pace, *, sleep: Sleep = anyio.sleep
    ) -> None:
        self._source = source
        self._http = http
        self._pace = pace
        self._sleep = sleep

    async def get(
        self,
        url: str,
        params: Mapping[str, str | int],
        *,
        headers: Mapping[str, str] | None = None,
        secret: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body at a URL.

        Args:
            headers: with a key, where the source takes it so.
            secret: further parameters that no log may show.

        Raises:
            NotThere: it answers that there is none.
            SourceFailed: it stays busy, refuses, or cannot be reached.
        """
        why = ""
        for tried in range(TRIES):
            wait = BACKOFF_SECONDS * 2**tried
            try:
                await self._sleep(self._pace.wait())
                # What leads elsewhere is not followed with a key.
                response = await self._http.get(
                    url,
                    params=params,
                    headers=headers,
                    extensions={SECRET: secret} if secret else None,
                    follow_redirects=not (headers or secret),
                )
            except httpx2.HTTPError as error:
                why = f"cannot be reached ({error or type(error).__name__})"
            else:
                if response.status_code == 404:
                    raise NotThere
                if response.status_code == 200:
                    return response.content
                why = f"answered {response.status_code} {response.reason_phrase}".rstrip()
                if response.status_code not in BUSY:
                    break
                wait = _asked(response) or wait
            if tried + 1 == TRIES or wait > MOST_WAIT_SECONDS:
                break
            await self._sleep(wait)
        raise SourceFailed(self._source, why)


class Secretive(httpx2.AsyncBaseTransport):
    """Puts a request's secret parameters into its address when it is sent: the client, which writes addresses
    to the log, never knows them.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if secret := request.extensions.get(SECRET):
            request = httpx2.Request(
                request.method,
                request.url.copy_merge_params(secret),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def user_agent(mail: str) -> str:
    """Who asks, and where to complain."""
    contact = f" (mailto:{mail})" if mail else ""
    return f"pygent-factory/{version('pygent-factory')}{contact}"


def _asked(response: httpx2.Response) -> float:
    """The seconds a source asks to wait; 0 where it does not say."""
    said = response.headers.get("retry-after", "")
    return float(said) if said.isdigit() else 0.0
