"""How an agent's addresses are reached: the SDK's HTTP client, over connections that were looked at.

The one rule: the config names an agent's card, and a stranger wrote what stands in it. So what the card leads
to must be an address of the open Internet, unless it is the very origin that the config names; and headers
that let us in go to that origin, or where the card leads over https.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
import httpx2

from pygent_a2a.remote.remotes import Remote
from pygent_shared.addresses import is_public
from pygent_shared.http.outbound import Blocked, Outbound, why_not_public
from pygent_shared.http.tokens import NoToken, Tokens
from pygent_shared.urls import is_private

ANSWER_SECONDS = 300.0
"""A stream that is silent for so long is opened anew."""
CONNECT_SECONDS = 15.0
# Below a server's own keep-alive (uvicorn: 5 s), or both ends close at once and a request is lost.
KEEP_ALIVE_SECONDS = 2.0

Learn = Callable[[str], None]
Origin = tuple[str, str, int]


class Unreached(httpx.ConnectError):
    """An address that nothing was sent to; `blocked` where that is a rule of ours."""

    def __init__(self, why: str, request: httpx.Request, *, blocked: bool) -> None:
        self.blocked = blocked
        super().__init__(why, request=request)


class Wire(httpx.AsyncBaseTransport):
    """Carries the requests to one agent by way of `Outbound`; `learn` is told each access token got."""

    def __init__(self, remote: Remote, learn: Learn = lambda token: None) -> None:
        limits = httpx2.Limits(max_connections=100, keepalive_expiry=KEEP_ALIVE_SECONDS)
        self._headers: Mapping[str, str] = remote.headers
        self._named = origin(remote.card)
        self._elsewhere = (
            Outbound(anywhere=True, limits=limits)
            if remote.allow_private
            else Outbound(blocks=why_not_public, limits=limits)
        )
        named_here = not remote.allow_private and _is_named_private(self._named[1])
        self._own = Outbound(limits=limits) if named_here else self._elsewhere
        self._tokens = (
            Tokens(remote.auth, httpx2.AsyncClient(transport=self._own), learn) if remote.auth else None
        )

    def client(self) -> httpx.AsyncClient:
        """The HTTP client over it; redirects are not followed."""
        timeout = httpx.Timeout(CONNECT_SECONDS, read=ANSWER_SECONDS)
        return httpx.AsyncClient(transport=self, timeout=timeout, follow_redirects=False)

    def lets_in(self, url: str) -> bool:
        """Whether the headers of the config go along to a URL."""
        return origin(url) == self._named or is_private(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if self.lets_in(url):
            request.headers.update(self._headers)
        try:
            response = await self._sent(request, url)
        except NoToken as error:
            raise Unreached(str(error), request, blocked=False) from error
        except httpx2.TimeoutException as error:
            raise httpx.ConnectTimeout(str(error) or "no answer in time", request=request) from error
        except httpx2.TransportError as error:
            blocked = isinstance(error.__cause__, Blocked)
            raise Unreached(str(error) or type(error).__name__, request, blocked=blocked) from error
        return httpx.Response(
            response.status_code, headers=response.headers.raw, stream=_Body(response, request)
        )

    async def _sent(self, request: httpx.Request, url: str) -> httpx2.Response:
        """The answer; a token that is refused is replaced, and the request sent again, once."""
        sends = self._own if origin(url) == self._named else self._elsewhere
        if self._tokens is None or not self.lets_in(url):
            return await sends.handle_async_request(await _copied(request, url))
        token = await self._tokens.current()
        response = await sends.handle_async_request(await _copied(request, url, token))
        if response.status_code != 401:
            return response
        await response.aclose()
        token = await self._tokens.instead_of(token)
        return await sends.handle_async_request(await _copied(request, url, token))

    async def aclose(self) -> None:
        await self._own.aclose()
        await self._elsewhere.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it comes."""

    def __init__(self, response: httpx2.Response, request: httpx.Request) -> None:
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        self._stream, self._request = response.stream, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except httpx2.TimeoutException as error:
            raise httpx.ReadTimeout(str(error) or "no answer in time", request=self._request) from error
        except httpx2.TransportError as error:
            raise httpx.ReadError(str(error) or type(error).__name__, request=self._request) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _copied(request: httpx.Request, url: str, token: str = "") -> httpx2.Request:
    """The request as the other library has it, with an access token where there is one."""
    copied = httpx2.Request(
        request.method,
        url,
        headers=request.headers.raw,
        content=await request.aread(),
        extensions={"timeout": request.extensions.get("timeout", {})},
    )
    if token:
        copied.headers["Authorization"] = f"Bearer {token}"
    return copied


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


def _is_named_private(host: str) -> bool:
    """Whether a host is spelled as this machine or a neighbour: somebody meant that."""
    try:
        return not is_public(str(ip_address(host)))
    except ValueError:
        return host == "localhost"
