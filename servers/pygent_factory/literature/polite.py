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
        self, url: str, params: Mapping[str, str | int], headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body at a URL.

        Raises:
            NotThere: it answers that there is none.
            SourceFailed: it stays busy, refuses, or cannot be reached.
        """
        why = ""
        for tried in range(TRIES):
            wait = BACKOFF_SECONDS * 2**tried
            try:
                await self._sleep(self._pace.wait())
                response = await self._http.get(url, params=params, headers=headers)
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


def user_agent(mail: str) -> str:
    """Who asks, and where to complain."""
    contact = f" (mailto:{mail})" if mail else ""
    return f"pygent-factory/{version('pygent-factory')}{contact}"


def _asked(response: httpx2.Response) -> float:
    """The seconds a source asks to wait; 0 where it does not say."""
    said = response.headers.get("retry-after", "")
    return float(said) if said.isdigit() else 0.0
