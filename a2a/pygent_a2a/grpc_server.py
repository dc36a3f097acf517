"""gRPC: the agents for callers who speak it, on a port of its own. The tenant of a request names the agent.

The one rule: what is answered is what the other bindings answer, to the same callers. Only protocol 1.0 is
spoken; its earlier forms have no tenants.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import anyio
import grpc
from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import GrpcHandler, GrpcServerCallContextBuilder, RequestHandler
from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server
from a2a.utils.version_validator import validate_version
from anyio.abc import TaskStatus

from pygent_a2a.cards import VERSION
from pygent_a2a.front import SUITE, UNAVAILABLE
from pygent_a2a.hub import Hub
from pygent_a2a.identity import called_by
from pygent_a2a.tenants import Tenants
from pygent_shared.errors import PortTaken, PygentError
from pygent_shared.fronts import Door
from pygent_shared.http.identity import Principal, Refusal
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

GRACE_SECONDS = 1.5
RECHECK_SECONDS = 5.0
"""How often it is looked whether the caller of a stream may still call."""

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
}

Opened = Callable[[], Awaitable[Hub]]
"""Where the agents are served, opened when it is first wanted; raises a `PygentError` where it cannot be."""


async def serve(settings: Settings, door: Door, opened: Opened, *, task_status: TaskStatus[None]) -> None:
    """Serve until cancelled.

    Raises:
        PortTaken: another process listens there.
    """
    # Without the first, two programs would share the port, each answering some of the calls.
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.a2a_max_mb * 2**20),
    ]
    server = grpc.aio.server(options=options)
    add_A2AServiceServicer_to_server(_Calls(settings, door, opened), server)  # type: ignore[no-untyped-call]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        server.add_insecure_port(f"{host}:{settings.a2a_grpc_port}")
    except RuntimeError as error:
        cure = "Choose a free one: --a2a-grpc-port 50051"
        raise PortTaken(settings.host, settings.a2a_grpc_port, "another program", cure) from error
    await server.start()
    task_status.started()
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(GRACE_SECONDS)


class _Contexts(GrpcServerCallContextBuilder):
    """Gives the SDK what a call's metadata says, as it has it of the headers of a request."""

    def build(self, context: grpc.aio.ServicerContext) -> ServerCallContext:
        headers = {key: value for key, value in _metadata(context) if key != "authorization"}
        wanted = [value for key, value in _metadata(context) if key == HTTP_EXTENSION_HEADER.lower()]
        return ServerCallContext(
            state={"headers": headers}, requested_extensions=get_requested_extensions(wanted)
        )


class _Calls(GrpcHandler):
    """The SDK's, which asks nobody who they are, and no client which version it speaks."""

    def __init__(self, settings: Settings, door: Door, opened: Opened) -> None:
        super().__init__(Tenants(self._picked), _Contexts())
        self._door, self._opened = door, opened
        self._base = settings.a2a_url.rstrip("/") or f"http://{settings.host}:{settings.port}"

    async def _handle_unary(
        self, request: Any, context: Any, handler_func: Callable[..., Any], default_response: Any
    ) -> Any:
        caller = await self._let_in(context)

        async def answer(call: ServerCallContext) -> Any:
            return await handler_func(await self._known(call, caller))

        return await super()._handle_unary(request, context, answer, default_response)

    async def _handle_stream(
        self, request: Any, context: Any, handler_func: Callable[..., Any]
    ) -> AsyncGenerator[Any]:
        caller = await self._let_in(context)

        async def answers(call: ServerCallContext) -> AsyncGenerator[Any]:
            looked = time.monotonic()
            async with aclosing(handler_func(await self._known(call, caller))) as events:
                async for event in events:
                    if time.monotonic() - looked > RECHECK_SECONDS:
                        await self._let_in(context)
                        looked = time.monotonic()
                    yield event

        sent: Any = super()._handle_stream(request, context, answers)
        async with aclosing(sent) as items:
            async for item in items:
                yield item

    async def _picked(self, tenant: str) -> RequestHandler:
        return await (await self._opened()).picked(tenant)

    async def _let_in(self, context: Any) -> Principal:
        """Whoever calls; who may not, or cannot be served now, is told so, and the call ends."""
        sent: Sequence[str] = [value for key, value in _metadata(context) if key == "authorization"]
        found = await self._door.admit(sent, SUITE)
        if isinstance(found, Refusal):
            log.info("Refused a call over gRPC with %d: %s", found.status, found.sentence)
            code = _CODES.get(found.status, grpc.StatusCode.UNAVAILABLE)
            await context.abort(code, found.sentence)
        try:
            await self._opened()
        except PygentError as error:
            log.warning("A2A cannot be served: %s", error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, UNAVAILABLE)
        assert isinstance(found, Principal), "abort raises"
        return found

    async def _known(self, call: ServerCallContext, caller: Principal) -> ServerCallContext:
        await _of_this_version(call)
        return called_by(call, caller, self._base)


@validate_version(VERSION)
async def _of_this_version(call: ServerCallContext) -> None:
    """Refuse a call of a version that is not spoken here, as the other bindings do."""


def _metadata(context: Any) -> list[tuple[str, str]]:
    """What was sent beside the request, but for what is no text."""
    sent = context.invocation_metadata() or ()
    return [(key.lower(), value) for key, value in sent if isinstance(value, str)]
