"""What belongs to one hop of a message and not to the message: taken off as it comes, put on as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp.types as t
from mcp.server.context import ServerRequestContext

from pygent_shared import caller

# `_meta` keys that belong to one hop: the next hop writes its own.
HOP_KEYS = {
    t.PROTOCOL_VERSION_META_KEY,
    t.CLIENT_INFO_META_KEY,
    t.CLIENT_CAPABILITIES_META_KEY,
    "progressToken",
    caller.META,
}


def params_of(context: ServerRequestContext[Any, Any]) -> dict[str, Any]:
    """A request's params as they came, without what belongs to the hop they came over."""
    params = dict(context.params or {})
    meta = {key: value for key, value in (params.pop("_meta", None) or {}).items() if key not in HOP_KEYS}
    return {**params, "_meta": meta} if meta else params


def complete(result: dict[str, Any]) -> dict[str, Any]:
    """A raw result with what the 2026 wire requires; the SDK takes it off again for older hosts."""
    whole = {"resultType": "complete", **result}
    meta = whole.get("_meta")
    if isinstance(meta, dict) and t.SERVER_INFO_META_KEY in meta:
        whole["_meta"] = {key: value for key, value in meta.items() if key != t.SERVER_INFO_META_KEY}
    return whole


def cacheable(result: dict[str, Any]) -> dict[str, Any]:
    """A complete result of a method that gives cache hints; ours say: ask again, and share with nobody unless
    it says otherwise.
    """
    if result.get("resultType") == "input_required":
        return result
    return {"ttlMs": 0, "cacheScope": "private", **complete(result)}


def listed(key: str, definitions: Mapping[str, Any], *, filtered: bool = False) -> dict[str, Any]:
    """The result of a list, all on one page.

    Args:
        filtered: whether another caller may get another list, so that no cache may give it to others. To be
            asked for anew it always is: who does not listen for changes would not hear of any.
    """
    scope = "private" if filtered else "public"
    return cacheable({"cacheScope": scope, key: list(definitions.values())})
