"""A server that speaks the wire formats of language models and says what a script says.

Every request is refused twice before it is answered, as too many (429) and as overloaded (503). Who asks for
a stream gets the same reply as server-sent events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

REFUSALS = (429, 503)


class Wires:
    """The server's app, and what it was asked.

    Args:
        replies: texts, or {"tool_calls": [{"name": …, "arguments": …}]}; which comes, the number of the
            assistant's messages in the request decides.
        refuses: whether it refuses first.
    """

    def __init__(self, replies: list[Any], *, refuses: bool = True) -> None:
        self._replies = replies
        self._refusals = list(REFUSALS) * len(replies) if refuses else []
        self.paths: list[str] = []
        """Of the requests that were answered."""
        self.asked: list[dict[str, Any]] = []
        """What stood in them."""
        self.refused = 0
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/messages", self._messages, methods=["POST"]),
            ]
        )

    def _next(self, request: Request, body: dict[str, Any]) -> Any:
        """The reply to a request; None where it is refused."""
        if self._refusals and len(self._refusals) > 2 * (len(self._replies) - 1 - self._said(body)):
            return None
        self.paths.append(request.url.path)
        self.asked.append(body)
        reply = self._replies[self._said(body)]
        return {"text": reply} if isinstance(reply, str) else reply

    def _said(self, body: dict[str, Any]) -> int:
        return sum(message["role"] == "assistant" for message in body["messages"])

    def _refused(self) -> JSONResponse:
        self.refused += 1
        status = self._refusals.pop(0)
        # Retried at once, and not after the seconds that clients wait by default.
        return JSONResponse({"error": {"message": "later"}}, status, headers={"retry-after-ms": "1"})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        if (reply := self._next(request, body)) is None:
            return self._refused()
        calls = [
            {
                "id": f"call_{place}",
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
            }
            for place, call in enumerate(reply.get("tool_calls", ()))
        ]
        message = {
            "role": "assistant",
            "content": reply.get("text"),
            **({"tool_calls": calls} if calls else {}),
        }
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        whole = {
            "id": "chat",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        return _events(_chat_events(whole)) if body.get("stream") else JSONResponse(whole)

    async def _messages(self, request: Request) -> Response:
        body = await request.json()
        if (reply := self._next(request, body)) is None:
            return self._refused()
        calls = [
            {"type": "tool_use", "id": f"toolu_{place}", "name": call["name"], "input": call["arguments"]}
            for place, call in enumerate(reply.get("tool_calls", ()))
        ]
        texts = [{"type": "text", "text": reply["text"]}] if reply.get("text") else []
        whole = {
            "id": "msg",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [*texts, *calls],
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
        return _events(_message_events(whole)) if body.get("stream") else JSONResponse(whole)


class Down:
    """A server of either format that refuses every request with a status, and counts them."""

    def __init__(self, status: int) -> None:
        self._status = status
        self.asked = 0
        paths = ("/v1/chat/completions", "/v1/messages")
        self.app = Starlette(routes=[Route(path, self._refuse, methods=["POST"]) for path in paths])

    async def _refuse(self, request: Request) -> JSONResponse:
        self.asked += 1
        return JSONResponse({"error": {"message": "later"}}, self._status, headers={"retry-after-ms": "1"})


def _events(events: Iterator[str]) -> Response:
    return Response("".join(events), media_type="text/event-stream")


def _pieces(text: str) -> list[str]:
    """A text as it comes: a few letters at a time."""
    return [text[start : start + 7] for start in range(0, len(text), 7)]


def _chat_events(whole: dict[str, Any]) -> Iterator[str]:
    """A completion as chunks: who speaks, the text or the calls piece by piece, the end, and the usage."""
    message, reason = whole["choices"][0]["message"], whole["choices"][0]["finish_reason"]

    def chunk(delta: dict[str, Any], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        data = {**whole, "object": "chat.completion.chunk", "choices": [choice], "usage": None}
        return f"data: {json.dumps(data)}\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(message["content"] or ""):
        yield chunk({"content": piece})
    for place, call in enumerate(message.get("tool_calls", ())):
        begun = {**call, "index": place, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [begun]})
        for piece in _pieces(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
    yield chunk({}, reason)
    yield f"data: {json.dumps({**whole, 'object': 'chat.completion.chunk', 'choices': []})}\n\n"
    yield "data: [DONE]\n\n"


def _message_events(whole: dict[str, Any]) -> Iterator[str]:
    """A message as its events: its start, each block piece by piece, its end."""

    def event(kind: str, **data: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"

    usage = {"input_tokens": 10, "output_tokens": 1}
    yield event("message_start", message={**whole, "content": [], "stop_reason": None, "usage": usage})
    for place, block in enumerate(whole["content"]):
        if block["type"] == "text":
            yield event("content_block_start", index=place, content_block={"type": "text", "text": ""})
            deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        else:
            yield event("content_block_start", index=place, content_block={**block, "input": {}})
            pieces = _pieces(json.dumps(block["input"]))
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        for delta in deltas:
            yield event("content_block_delta", index=place, delta=delta)
        yield event("content_block_stop", index=place)
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ended, usage={"output_tokens": 5})
    yield event("message_stop")
