"""Connections to servers that somebody named: to any address but where a cloud gives a machine its keys.

A name is resolved here, every address of it is looked at, and the connection goes to one that was. So neither
another spelling (octal, decimal, IPv4 within IPv6) nor a name that resolves otherwise the second time leads
to what is blocked.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable
from ipaddress import ip_address
from typing import Any

import anyio
import httpcore2
import httpx2

from pygent_shared.addresses import Address, is_public, leads_to

Blocks = Callable[[Address], str | None]

MOST_BYTES = 64 * 2**20

# Where clouds answer their machines outside of the link-local range.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")))


def why_blocked(address: Address) -> str | None:
    """Why nobody should be sent to an address, as a clause; None where anybody may be."""
    return next(filter(None, map(_why_blocked, leads_to(address))), None)


def why_not_public(address: Address) -> str | None:
    """Why nobody should be sent to an address by somebody who is not trusted; None where it is everyone's."""
    return None if is_public(str(address)) else "is not an address of the open Internet"


def _why_blocked(address: Address) -> str | None:
    if address.is_link_local or address in _METADATA:
        return "is link-local, where clouds keep a machine's credentials"
    of_this_machine = address.is_loopback or address.is_unspecified
    if address.is_multicast or (address.is_reserved and not of_this_machine):
        return "is no address of one machine"
    return None


class Blocked(httpcore2.ConnectError):
    """A connection to a blocked address was asked for: the cause of httpx2's own error."""


class Outbound(httpx2.AsyncHTTPTransport):
    """Sends requests, but none to a blocked address; takes answers, but none that are too large to be kept.

    Args:
        anywhere: block nothing.
        blocks: why an address is blocked, as a clause; None for one that is not.
        options: of httpx2's transport.
    """

    def __init__(self, *, anywhere: bool = False, blocks: Blocks = why_blocked, **options: Any) -> None:
        super().__init__(**options)
        if not anywhere:
            # httpx2 has no option for it; httpcore2's pool has.
            self._pool._network_backend = _Checked(blocks)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # What is compressed may be a thousand times as large as what is counted here.
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("it sent a compressed answer, which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        events = response.headers.get("Content-Type", "").startswith("text/event-stream")
        response.stream = _Bounded(response.stream, events=events)
        return response


class _Bounded(httpx2.AsyncByteStream):
    """The body of an answer, in which no message has more than MOST_BYTES.

    Args:
        inner: the body as it comes.
        events: whether it is a stream of events, each a message, and not one message.
    """

    def __init__(self, inner: httpx2.AsyncByteStream, *, events: bool) -> None:
        self._inner, self._events = inner, events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            end = max(chunk.rfind(b"\n\n"), chunk.rfind(b"\r\n\r\n")) if self._events else -1
            size = len(chunk) - end if end >= 0 else size + len(chunk)
            if size > MOST_BYTES:
                raise httpx2.RemoteProtocolError(f"it sent a message of more than {MOST_BYTES >> 20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Checked(httpcore2.AsyncNetworkBackend):
    """Opens connections to addresses that were looked at."""

    def __init__(self, blocks: Blocks) -> None:
        self._inner, self._blocks = httpcore2.AnyIOBackend(), blocks

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                addresses = await addresses_of(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f'the name "{host}" was not resolved in time') from error
        except OSError as error:
            raise httpcore2.ConnectError(f'the name "{host}" cannot be resolved: {error.strerror}') from error
        for address in addresses:
            if why := self._blocks(address):
                raise Blocked(f"its address {address} {why}")
        failed: Exception = httpcore2.ConnectError(f'the name "{host}" has no address')
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


async def addresses_of(host: str, port: int) -> list[Address]:
    """Every address of a host, in the system's order."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(place[0].partition("%")[0]) for *_, place in found))
