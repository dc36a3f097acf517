"""What nobody sees is taken out of what a server answers: a model would read it."""

from __future__ import annotations

from typing import Any

from pygent_registry.policies import Handler, Request
from pygent_registry.trust.verdict import STRIPPED
from pygent_shared.unseen import stripped_all

READ_BY_MODELS = (
    "content",
    "structuredContent",
    "messages",
    "contents",
    "description",
    "statusMessage",
    "result",
)
# Addresses, and what is no text.
AS_THEY_ARE = frozenset({"data", "blob", "uri", "mimeType", "_meta"})


def strip_unseen(handler: Handler) -> Handler:
    """Strip the texts of results; `_meta` says how many characters went."""

    async def handle(request: Request) -> dict[str, Any]:
        return _stripped(await handler(request))

    return handle


def _stripped(result: dict[str, Any]) -> dict[str, Any]:
    said = {part: result[part] for part in READ_BY_MODELS if part in result}
    seen, count = stripped_all(said, but=AS_THEY_ARE)
    return {**result, **seen, "_meta": {**(result.get("_meta") or {}), STRIPPED: count}} if count else result
