"""One raw request to a server: a message is parsed once, by `wire.py` or by the SDK's dispatcher, and passed
on as it is, so fields we do not know survive. Two private parts of the SDK are used for that, in `send`.
"""

from __future__ import annotations

from typing import Any

import mcp.types as t
from mcp import Client, MCPError
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from pygent_registry.wire import Progress, Wire
from pygent_shared.http import tokens

UNREACHABLE = tokens.UNREACHABLE
"""A JSON-RPC error code of our own, never sent on: an HTTP server could not be reached for this request."""
LOCKED_OUT = tokens.LOCKED_OUT
"""Another: no request will be let in until somebody mends the entry, so the connection is of no more use."""


async def send(
    client: Client,
    method: str,
    params: dict[str, Any],
    *,
    progress: Progress | None = None,
    capabilities: dict[str, Any] | None = None,
    wire: Wire | None = None,
) -> dict[str, Any]:
    """The SDK's stamp for the era, our params, over the wire or else the SDK's dispatcher; the raw result.

    Raises:
        MCPError: the server's own error, unchanged, or that the connection is gone.
    """
    session = client.session
    data: dict[str, Any] = {"method": method, "params": {**params}}
    if meta := params.get("_meta"):
        data["params"]["_meta"] = {**meta}
    options: Any = {} if progress is None else {"on_progress": progress}
    session._stamp(data, options)
    if capabilities is not None and is_modern(client):
        data["params"]["_meta"][t.CLIENT_CAPABILITIES_META_KEY] = capabilities
    if wire is not None:
        return await wire.request(method, data["params"], progress)
    return await session._dispatcher.send_raw_request(method, data["params"], options)


def is_over(error: MCPError) -> bool:
    """Whether an error means that this connection will never answer again."""
    return error.error.code == t.CONNECTION_CLOSED or is_forgotten(error)


def is_forgotten(error: MCPError) -> bool:
    """Whether an HTTP server has forgotten the session, as by a restart: it did not carry the request out."""
    return error.error.message == "Session terminated"  # the SDK's words


def is_modern(client: Client) -> bool:
    """Whether this connection speaks the 2026 era."""
    return client.protocol_version in MODERN_PROTOCOL_VERSIONS
