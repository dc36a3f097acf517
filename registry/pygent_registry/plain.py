"""Which tool calls and results are so plain that validating them could change nothing.

What is plain here passes the gateway as it is; everything else goes through the SDK's models, which refuse,
default and drop fields as the protocol version wants it. The one rule: in doubt, not plain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp.types as t

RESERVED = "io.modelcontextprotocol/"
_ENVELOPE = {t.PROTOCOL_VERSION_META_KEY, t.CLIENT_INFO_META_KEY, t.CLIENT_CAPABILITIES_META_KEY}
_CALL = {"name", "arguments", "_meta"}
_RESULT = {"content", "structuredContent", "isError", "resultType", "_meta"}
_BLOCKS = {
    "text": {"type", "text"},
    "image": {"type", "data", "mimeType"},
    "audio": {"type", "data", "mimeType"},
}


def is_call(params: Mapping[str, Any] | None, *, modern: bool) -> bool:
    """Whether these are the params of a plain `tools/call`."""
    return (
        params is not None
        and params.keys() <= _CALL
        and isinstance(params.get("name"), str)
        and isinstance(params.get("arguments", {}), dict)
        and _is_meta(params.get("_meta", {}), modern)
    )


def is_result(result: Mapping[str, Any]) -> bool:
    """Whether this is a plain result, in either era."""
    blocks, meta = result.get("content"), result.get("_meta", {})
    return (
        result.keys() <= _RESULT
        and isinstance(blocks, list)
        and all(map(_is_block, blocks))
        and result.get("resultType", "complete") == "complete"
        and isinstance(result.get("structuredContent", {}), dict)
        and isinstance(result.get("isError", False), bool)
        and isinstance(meta, dict)
        and not any(value is None or key.startswith(RESERVED) for key, value in meta.items())
    )


def _is_meta(meta: object, modern: bool) -> bool:
    if not isinstance(meta, dict):
        return False
    token = meta.get("progressToken", "")
    reserved = {key for key in meta if key.startswith(RESERVED)}
    return type(token) in (str, int) and reserved <= (_ENVELOPE if modern else set())


def _is_block(block: object) -> bool:
    if not isinstance(block, dict):
        return False
    kind = block.get("type")
    keys = _BLOCKS.get(kind) if isinstance(kind, str) else None
    return keys == block.keys() and all(isinstance(value, str) for value in block.values())
