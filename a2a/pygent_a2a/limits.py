"""How much a caller may send, and of what kind: looked at before anything is kept or begun.

What is refused is refused in the protocol's own words, and nothing of what was sent is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

from a2a.types.a2a_pb2 import Message, Part, Role, SendMessageRequest, TaskPushNotificationConfig
from a2a.utils.errors import InvalidParamsError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
DOMAIN = "a2a-protocol.org"
JSON_TYPES = (b"application/json", b"application/a2a+json")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The most a caller may send."""

    body: int = 10 * 2**20
    """Bytes of a request."""
    parts: int = 100
    text: int = 1_000_000
    """Characters of one part's text."""
    data: int = 2**20
    """Bytes of a part's data, and of the metadata of a message."""
    id: int = 256
    """Characters of an id."""
    url: int = 2048
    references: int = 20
    """Other tasks, and extensions, that one message names."""

    def check(self, params: SendMessageRequest) -> None:
        """Refuse a message that is not fit to be worked on.

        Raises:
            InvalidParamsError: it names the field, and what may stand there.
        """
        message = params.message
        wrong = self._message(message)
        for number, part in enumerate(message.parts):
            wrong += [(f"message.parts[{number}]", why) for why in self._part(part)]
            if len(wrong) > 20:
                break
        if params.configuration.HasField("task_push_notification_config"):
            config = params.configuration.task_push_notification_config
            wrong += [
                (f"configuration.taskPushNotificationConfig.{field}", why)
                for field, why in self._target(config)
            ]
        _refuse(wrong)

    def check_target(self, config: TaskPushNotificationConfig) -> None:
        """Refuse a place to push to that is written too long.

        Raises:
            InvalidParamsError: it is.
        """
        _refuse(self._target(config))

    def _message(self, message: Message) -> list[tuple[str, str]]:
        wrong = [
            (f"message.{name}", f"has more than {self.id} characters")
            for name in ("message_id", "task_id", "context_id")
            if len(getattr(message, name)) > self.id
        ]
        if message.role != Role.ROLE_USER:
            wrong.append(("message.role", "is not ROLE_USER, and clients speak as the user"))
        if len(message.parts) > self.parts:
            wrong.append(("message.parts", f"has more than {self.parts} entries"))
        if message.metadata.ByteSize() > self.data:
            wrong.append(("message.metadata", f"has more than {self.data} bytes"))
        for name in ("reference_task_ids", "extensions"):
            values = getattr(message, name)
            if len(values) > self.references or any(len(value) > self.url for value in values):
                wrong.append((f"message.{name}", f"has more than {self.references} entries, or a long one"))
        return wrong

    def _part(self, part: Part) -> list[str]:
        match part.WhichOneof("content"):
            case None:
                return ["is none of text, raw, url and data"]
            case "text" if not part.text:
                return ["has an empty text"]
            case "text" if len(part.text) > self.text:
                return [f"has a text of more than {self.text} characters"]
            case "raw" if not part.raw:
                return ["has no bytes, or is not base64"]
            case "data" if part.data.ByteSize() > self.data:
                return [f"has data of more than {self.data} bytes"]
            case "url" if len(part.url) > self.url:
                return [f"has a URL of more than {self.url} characters"]
        if part.metadata.ByteSize() > self.data or max(len(part.filename), len(part.media_type)) > self.url:
            return ["has metadata, a file name or a media type that is too long"]
        return []

    def _target(self, config: TaskPushNotificationConfig) -> list[tuple[str, str]]:
        longest = {"id": self.id, "url": self.url, "token": self.url}
        return [
            (field, f"has more than {most} characters")
            for field, most in longest.items()
            if len(getattr(config, field)) > most
        ] + [
            (f"authentication.{field}", f"has more than {self.url} characters")
            for field in ("scheme", "credentials")
            if len(getattr(config.authentication, field)) > self.url
        ]


def _refuse(wrong: list[tuple[str, str]]) -> None:
    if wrong:
        field, why = wrong[0]
        errors = [{"field": field, "message": why} for field, why in wrong]
        raise InvalidParamsError(message=f"{field} {why}", data={"errors": errors})


class Body:
    """Reads a request's body, if it is not too large and says that it is JSON, and passes it on.

    Args:
        app: what answers.
        most: bytes of a body.
        rpc: the end of the paths at which JSON-RPC is spoken; its errors look different from the others'.
    """

    def __init__(self, app: ASGIApp, *, most: int = Bounds.body, rpc: str = "/") -> None:
        self._app, self._most, self._rpc = app, most, rpc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        rpc = scope["path"].endswith(self._rpc)
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        said = headers.get(b"content-length", b"")
        refusal: JSONResponse | None = None
        body = b""
        if rpc and kind not in JSON_TYPES:
            why = "The content type must be application/json"
            refusal = _error(rpc, -32005, 400, "INVALID_ARGUMENT", why, "CONTENT_TYPE_NOT_SUPPORTED")
        elif said.isdigit() and int(said) > self._most:
            refusal = self._too_large(rpc)
        else:
            read = await self._read(receive)
            if read is None:
                refusal = self._too_large(rpc)
            elif not _is_text(read):
                refusal = _error(
                    rpc, -32700, 400, "INVALID_ARGUMENT", "The body is not UTF-8", "INVALID_REQUEST"
                )
            else:
                body = read
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)  # it went away, and hears no answer
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._most:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self, rpc: bool) -> JSONResponse:
        why = f"The body has more than {self._most} bytes"
        return _error(rpc, -32600, 413, "INVALID_ARGUMENT", why, "INVALID_REQUEST")


def _again(body: bytes, receive: Receive) -> Receive:
    """What receives a body that was read already, and then what comes after it."""
    given = False

    async def receive_again() -> AsgiMessage:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _error(rpc: bool, code: int, status: int, name: str, why: str, reason: str) -> JSONResponse:
    details = [{"@type": ERROR_INFO, "reason": reason, "domain": DOMAIN, "metadata": {}}]
    if rpc:
        error = {"code": code, "message": why, "data": details}
        return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error})
    return JSONResponse(
        {"error": {"code": status, "status": name, "message": why, "details": details}}, status_code=status
    )
