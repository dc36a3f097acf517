"""Access tokens for one server: got from its authorization server, put on requests, replaced in time.

Not the SDK's own provider: that holds a lock while a request is out, so that one slow call would hold up all
others, and it asks without a token first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx2

from pygent_shared.http.credentials import NO_TOKEN, ClientCredentials

# JSON-RPC codes of our own side: of a server that cannot be reached, and of one that does not let us in.
UNREACHABLE, LOCKED_OUT = -31001, -31002
# A token is replaced this long before it ends, or after four fifths of its life.
EARLY_SECONDS = 60.0
# After a failure it is not tried again for this long, however many calls wait for a token.
PAUSE_SECONDS = 2.0
FETCH_SECONDS = 15.0
_LONGEST_ANSWER = 200


class NoToken(Exception):
    """The authorization server gave none. `final` where asking again will not help."""

    def __init__(self, why: str, *, final: bool) -> None:
        self.final = final
        super().__init__(f"{NO_TOKEN}: {why}")


class Tokens:
    """The current access token: got when first needed, replaced before it ends, and by one caller for all.

    Args:
        learn: told each token, so that it is known as a secret before it is used.
    """

    def __init__(
        self,
        credentials: ClientCredentials,
        http: httpx2.AsyncClient,
        learn: Callable[[str], None],
    ) -> None:
        self._credentials = credentials
        self._http = http
        self._learn = learn
        self._token = ""
        self._until = 0.0
        self._failed: NoToken | None = None
        self._failed_at = float("-inf")
        self._asking = anyio.Lock()

    async def current(self) -> str:
        """A token that is good for a while.

        Raises:
            NoToken: there is none to be had.
        """
        if self._token and time.monotonic() < self._until:
            return self._token
        return await self._replaced(lambda: time.monotonic() >= self._until)

    async def instead_of(self, refused: str) -> str:
        """Another token than one that the server refused.

        Raises:
            NoToken: there is none to be had.
        """
        return await self._replaced(lambda: self._token == refused)

    async def _replaced(self, is_needed: Callable[[], bool]) -> str:
        async with self._asking:
            if self._token and not is_needed():
                return self._token  # somebody else got it while this one waited
            if self._failed is not None and time.monotonic() - self._failed_at < PAUSE_SECONDS:
                raise self._failed
            self._token = ""
            try:
                self._token, lifetime = await self._asked()
            except NoToken as error:
                self._failed, self._failed_at = error, time.monotonic()
                raise
            self._learn(self._token)
            self._failed = None
            self._until = time.monotonic() + lifetime - min(EARLY_SECONDS, lifetime / 5)
            return self._token

    async def _asked(self) -> tuple[str, float]:
        given = self._credentials
        try:
            with anyio.fail_after(FETCH_SECONDS):
                response = await self._http.post(
                    given.token_url,
                    data=given.form(),
                    auth=given.basic() or httpx2.USE_CLIENT_DEFAULT,
                    headers={"Accept": "application/json"},
                )
        except (httpx2.HTTPError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise NoToken(f"{given.token_url} cannot be reached ({why})", final=False) from error
        answer = _object(response)
        if response.status_code == 200 and isinstance(token := answer.get("access_token"), str) and token:
            lifetime = answer.get("expires_in")
            return token, float(lifetime) if isinstance(lifetime, int | float) else float("inf")
        raise NoToken(
            f"{given.token_url} answered {response.status_code}{self._reason(answer)}",
            final=response.status_code in (400, 401, 403),
        )

    def _reason(self, answer: Mapping[str, Any]) -> str:
        """RFC 6749, section 5.2, without what must not be shown."""
        words = [str(answer[key]) for key in ("error", "error_description") if answer.get(key)]
        told = ": ".join(words).replace(self._credentials.client_secret, "[secret]")
        plain = "".join(letter for letter in told if letter.isprintable())
        return f" ({plain[:_LONGEST_ANSWER]})" if plain else ""


class Authorised(httpx2.AsyncBaseTransport):
    """Puts the token on requests to the server's own origin, and on no others. One that is refused is
    replaced and the request sent again, once.

    Args:
        inner: what sends the requests.
        url: the server's.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, tokens: Tokens, url: str) -> None:
        self._inner = inner
        self._tokens = tokens
        self._origin = _origin(httpx2.URL(url))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if _origin(request.url) != self._origin:
            return await self._inner.handle_async_request(request)
        try:
            token = await self._tokens.current()
            response = await self._sent(request, token)
            if response.status_code != 401:
                return response
            await response.aclose()
            return await self._sent(request, await self._tokens.instead_of(token))
        except NoToken as error:
            return unavailable(request, 401, str(error), LOCKED_OUT if error.final else UNREACHABLE)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _sent(self, request: httpx2.Request, token: str) -> httpx2.Response:
        request.headers["Authorization"] = f"Bearer {token}"
        return await self._inner.handle_async_request(request)


def unavailable(request: httpx2.Request, status: int, why: str, code: int = UNREACHABLE) -> httpx2.Response:
    """A response that tells our own side why there is none."""
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": why}}
    return httpx2.Response(status, request=request, json=body)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _object(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        answer = json.loads(response.content)
    except ValueError:
        return {}
    return answer if isinstance(answer, Mapping) else {}
