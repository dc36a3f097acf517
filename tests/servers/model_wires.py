"""A server that speaks the wire formats of language models and says what a script says.

Every request is refused twice before it is answered, as too many (429) and as overloaded (503).
"""

from __future__ import annotations

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
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
        reply = self._replies[self._said(body)]
        return {"text": reply} if isinstance(reply, str) else reply

    def _said(self, body: dict[str, Any]) -> int:
        return sum(message["role"] == "assistant" for message in body["messages"])

    def _refused(self) -> JSONResponse:
        status = self._refusals.pop(0)
        # Retried at once, and not after the seconds that clients wait by default.
        return JSONResponse({"error": {"message": "later"}}, status, headers={"retry-after-ms": "1"})

    async def _chat(self, request: Request) -> JSONResponse:
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
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return JSONResponse(
            {
                "id": "chat",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [choice],
                "usage": usage,
            }
        )

    async def _messages(self, request: Request) -> JSONResponse:
        body = await request.json()
        if (reply := self._next(request, body)) is None:
            return self._refused()
        calls = [
            {"type": "tool_use", "id": f"toolu_{place}", "name": call["name"], "input": call["arguments"]}
            for place, call in enumerate(reply.get("tool_calls", ()))
        ]
        texts = [{"type": "text", "text": reply["text"]}] if reply.get("text") else []
        return JSONResponse(
            {
                "id": "msg",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": [*texts, *calls],
                "stop_reason": "tool_use" if calls else "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 10, "output_tokens": 5},
            }
        )
