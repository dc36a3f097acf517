"""Results that were too large to be passed on whole, kept for a while so that they can be read."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from pygent_shared.errors import InvalidArgument

URI = "pygent://results/"
MOST = 64
MOST_BYTES = 64_000_000

Contents = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A result: whose it is, and its parts as `resources/read` gives them."""

    caller: str
    contents: Contents
    bytes: int


class Results:
    """The latest large results, so many and so many bytes of them; the oldest make room.

    Only who made the call may read its result, in either era, and by an address that nobody can guess.
    """

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def keep(self, caller: str, result: dict[str, Any], size: int) -> str | None:
        """The URI under which the result can be read; None where it is larger than all that is kept."""
        if size > self._most_bytes:
            return None
        uri = URI + secrets.token_urlsafe(24)
        self._kept[uri] = Kept(caller=caller, contents=_contents(uri, result), bytes=size)
        self._bytes += size
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].bytes
        return uri

    def read(self, caller: str, uri: str) -> dict[str, Any]:
        """The whole, as a result of `resources/read`.

        Raises:
            InvalidArgument: there is none for this caller, or none any more.
        """
        kept = self._kept.get(uri)
        if kept is None or kept.caller != caller:
            raise InvalidArgument(
                "uri", "is the address of no result that is kept", "Results are kept for a while: call again."
            )
        return {"contents": kept.contents}


def _contents(uri: str, result: dict[str, Any]) -> Contents:
    found = [_content(uri, block) for block in result.get("content") or []]
    if "structuredContent" in result:
        found.append(
            _text(uri, json.dumps(result["structuredContent"], ensure_ascii=False), "application/json")
        )
    return found


def _content(uri: str, block: dict[str, Any]) -> dict[str, Any]:
    match block:
        case {"type": "text", "text": str(text)}:
            return _text(uri, text, "text/plain")
        case {"type": "image" | "audio", "data": data, "mimeType": kind}:
            return {"uri": uri, "mimeType": kind, "blob": data}
        case {"type": "resource", "resource": dict(inner)}:
            return {**inner, "uri": uri}
        case _:
            return _text(uri, json.dumps(block, ensure_ascii=False), "application/json")


def _text(uri: str, text: str, kind: str) -> dict[str, Any]:
    return {"uri": uri, "mimeType": kind, "text": text}
