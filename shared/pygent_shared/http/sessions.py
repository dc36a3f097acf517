"""The SDK's HTTP front of one MCP server, with a shorter way for the answers of tool calls.

The SDK keeps the sessions, the handshake, every check and refusal, and the server behind. What is passed by
is how it writes an answer: an event stream of its own for each call, made of several tasks and channels. The
one rule: whatever is not plainly a `tools/call`, or is to be refused, goes the SDK's way. The SDK's private
parts that this builds on are all in this file.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from mcp.server._streamable_http_modern import (
    _mcp_param_rejection,
    _SingleExchangeDispatchContext,
    _to_jsonrpc_response,
)
from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_one
from mcp.server.streamable_http import (
    MCP_SESSION_ID_HEADER,
    StreamableHTTPServerTransport,
    check_accept_headers,
)
from mcp.shared._context_streams import ContextSendStream
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundModernRoute,
    classify_inbound_request,
)
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.shared.transport_context import TransportContext
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import PydanticSerializationError, from_json
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from pygent_shared.http.protocol import LOSS, Loss
from pygent_shared.http.reply import JSON, Reply, framed
from pygent_shared.http.session_cap import CappedSessions
from pygent_shared.settings import Settings

SESSION_ID_BYTES = 32
_VERSION = MCP_PROTOCOL_VERSION_HEADER.encode()


class Sessions(CappedSessions):
    """What one path serves, in both eras.

    Args:
        lifetime: seconds after which a session ends however busy it is.
    """

    def __init__(self, app: Server[Any], *, lifetime: float, **options: Any) -> None:
        super().__init__(app, **options)
        self._lifetime = lifetime

    async def _handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        version = next((value for name, value in scope["headers"] if name == _VERSION), b"")
        if version.decode("latin-1") not in MODERN_PROTOCOL_VERSIONS:
            await super()._handle_request(scope, receive, send)
            return
        request = Request(scope, receive)
        call = await _tool_call(request)
        if call is None or (route := await self._route(request, call)) is None:
            await super()._handle_request(scope, _again(request), send)
            return
        await self._serve(request, call, route, send)

    async def _route(self, request: Request, call: JSONRPCRequest) -> InboundModernRoute | None:
        """The envelope of a call that the SDK would let through; None where it would refuse."""
        headers = dict(request.headers)
        if len(headers) != len(request.scope["headers"]) or not all(check_accept_headers(request)):
            return None
        route = classify_inbound_request({"method": call.method, "params": call.params}, headers=headers)
        if not isinstance(route, InboundModernRoute):
            return None
        refused = await _mcp_param_rejection(self.app, request, call, route, self._lifespan_state)
        return None if refused else route

    async def _serve(
        self, request: Request, call: JSONRPCRequest, route: InboundModernRoute, send: Send
    ) -> None:
        """Answer a call of the 2026 era; a client that goes away cancels it."""
        reply = Reply(send, {}, self._running())
        exchange = _SingleExchangeDispatchContext(
            transport=TransportContext(
                kind="streamable-http", can_send_request=False, headers=request.headers
            ),
            request_id=call.id,
            message_metadata=ServerMessageMetadata(request_context=request),
            progress_token=progress_token_from_params(call.params),
            sink=reply,  # type: ignore[arg-type]  # of a stream, its send is used
        )
        connection = Connection.from_envelope(
            route.protocol_version, route.client_info, route.client_capabilities
        )
        loss: Loss = request.scope.get(LOSS) or Loss()
        try:
            with anyio.CancelScope() as scope, loss.calls(scope.cancel):
                served = serve_one(
                    self.app,
                    exchange,
                    call.method,
                    call.params,
                    connection=connection,
                    lifespan_state=self._lifespan_state,
                )
                answer = await _to_jsonrpc_response(call.id, served)
                await reply.end(_encoded(answer), _status(answer))
        finally:
            reply.abandon()

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        admitted = super()._admit_session(requestor)
        if admitted is None or admitted.mcp_session_id is None or self.json_response or self.event_store:
            return admitted
        name = secrets.token_hex(SESSION_ID_BYTES)  # the SDK's own has 122 random bits
        session = Session(
            self._running,
            self._lifetime,
            mcp_session_id=name,
            security_settings=self.security_settings,
            idle_timeout=self.session_idle_timeout,
        )
        del self._server_instances[admitted.mcp_session_id]
        self._server_instances[name] = session
        if requestor is not None:
            self._session_owners[name] = self._session_owners.pop(admitted.mcp_session_id)
        return session

    def _running(self) -> TaskGroup:
        assert self._task_group is not None, "a request came outside of run()"
        return self._task_group


def sessions(app: Server[Any], settings: Settings) -> Sessions:
    """What a path serves of this server."""
    return Sessions(
        app,
        lifetime=settings.session_lifetime,
        most_each=settings.caller_sessions,
        session_idle_timeout=settings.session_idle_timeout,
    )


class Session(StreamableHTTPServerTransport):
    """A session of the 2025 era. Its calls go to the server as the SDK sends them; what is said on a call is
    written to that call's reply at once.

    Args:
        tasks: gives the task group to reply from.
        lifetime: seconds after which it ends.
    """

    def __init__(self, tasks: Callable[[], TaskGroup], lifetime: float, **options: Any) -> None:
        super().__init__(**options)
        self._tasks = tasks
        self._lifetime = lifetime
        self._replies: dict[str, Reply] = {}

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[tuple[ReadStream[Any], WriteStream[SessionMessage]]]:
        async with super().connect() as (read, write):
            assert self._write_stream is write
            self._write_stream = _Said(self._write_stream, self._replies)
            life = anyio.CancelScope()
            self._tasks().start_soon(self._end_of_age, life)
            try:
                yield read, self._write_stream
            finally:
                life.cancel()

    async def _end_of_age(self, life: anyio.CancelScope) -> None:
        with life:
            await anyio.sleep(self._lifetime)
            await self.terminate()

    async def terminate(self) -> None:
        await super().terminate()
        for reply in list(self._replies.values()):
            await reply.end(_ended(), 500)

    async def _handle_post_request(
        self, scope: Scope, request: Request, receive: Receive, send: Send
    ) -> None:
        call = await _tool_call(request)
        if call is None or not self._is_plain(request, str(call.id)):
            await super()._handle_post_request(scope, request, receive, send)
            return
        assert self.mcp_session_id is not None
        reply = Reply(send, {MCP_SESSION_ID_HEADER: self.mcp_session_id}, self._tasks())
        unanswered = partial(self._terminate_unanswered_request, call.id)
        metadata = self._message_metadata(request, on_request_unanswered=unanswered)
        if before := self._replies.pop(str(call.id), None):
            await before.end(_error(INVALID_REQUEST, "Another request took this one's id", call.id))
        self._replies[str(call.id)] = reply
        try:
            assert self._read_stream_writer is not None
            await self._read_stream_writer.send(SessionMessage(call, metadata=metadata))
            await reply.wait()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):  # ended at this very moment
            await reply.end(_ended(), 500)
        finally:
            if self._replies.get(str(call.id)) is reply:
                del self._replies[str(call.id)]
            reply.abandon()

    def _is_plain(self, request: Request, number: str) -> bool:
        """Whether the SDK would let the call through, and is answering no other of its id."""
        return (
            request.headers.get(MCP_SESSION_ID_HEADER) == self.mcp_session_id
            and all(check_accept_headers(request))
            and self._check_content_type(request)
            and number not in self._request_streams
        )


class _Said(ContextSendStream[SessionMessage]):
    """What the server says: on a call that has a reply, to that; all else on the SDK's own way."""

    __slots__ = ("_replies",)

    def __init__(self, rest: ContextSendStream[SessionMessage], replies: Mapping[str, Reply]) -> None:
        super().__init__(rest._inner)
        self._replies = replies

    async def __aenter__(self) -> Self:
        return self

    async def send(self, item: SessionMessage) -> None:
        message, about = item.message, item.metadata
        call: RequestId | None = None
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            call = message.id
        elif isinstance(about, ServerMessageMetadata):
            call = about.related_request_id
        reply = self._replies.get(str(call)) if call is not None else None
        if reply is None:
            await super().send(item)
        elif isinstance(message, JSONRPCResponse | JSONRPCError):
            await reply.end(_encoded(message))
        else:
            await reply.send(framed(_encoded(message)))


def _ended() -> bytes:
    """As the SDK answers a request whose session ends meanwhile."""
    return _error(INTERNAL_ERROR, "Session terminated before the request completed")


def _error(code: int, message: str, call: RequestId | None = None) -> bytes:
    return _encoded(JSONRPCError(jsonrpc="2.0", id=call, error=ErrorData(code=code, message=message)))


async def _tool_call(request: Request) -> JSONRPCRequest | None:
    """The request's body, where it is a call of a tool; the SDK has the word on everything else."""
    if request.method != "POST" or not request.headers.get("content-type", "").startswith(JSON):
        return None
    try:
        body = from_json(await request.body())
        if not isinstance(body, dict) or body.get("method") != "tools/call" or "id" not in body:
            return None
        return JSONRPCRequest.model_validate(body, by_name=False)
    except (ValueError, ClientDisconnect):
        return None


def _again(request: Request) -> Receive:
    """Gives the body that was read once more, and then what comes after it."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await request.receive()
        given = True
        return {"type": "http.request", "body": await request.body(), "more_body": False}

    return receive


def _status(answer: JSONRPCMessage) -> int:
    return ERROR_CODE_HTTP_STATUS.get(answer.error.code, 200) if isinstance(answer, JSONRPCError) else 200


def _encoded(message: JSONRPCMessage) -> bytes:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    except PydanticSerializationError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        return json.dumps(message.model_dump(by_alias=True, exclude_unset=True)).encode()
