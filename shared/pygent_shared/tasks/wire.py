"""The tasks extension as it is on the wire: its requests, and what is refused of them.

See the extension's specification of 2026-07-28, `io.modelcontextprotocol/tasks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

EXTENSION = "io.modelcontextprotocol/tasks"
VERSIONS = frozenset(MODERN_PROTOCOL_VERSIONS)
"""The protocol versions that have it."""

GET = "tasks/get"
UPDATE = "tasks/update"
CANCEL = "tasks/cancel"

TASK = "task"
"""The `resultType` of an answer that is a task."""

Context = ServerRequestContext[Any, Any]


class TaskParams(t.RequestParams):
    """Of `tasks/get` and `tasks/cancel`."""

    task_id: str


class UpdateParams(TaskParams):
    """Of `tasks/update`: answers by the keys of what was asked."""

    input_responses: dict[str, Any]


PARAMS: Mapping[str, type[TaskParams]] = {GET: TaskParams, UPDATE: UpdateParams, CANCEL: TaskParams}


def is_declared(context: Context) -> bool:
    """Whether this request's client takes a task for an answer."""
    declared = context.session.client_capabilities
    extensions = declared.extensions if declared else None
    return context.protocol_version in VERSIONS and EXTENSION in (extensions or {})


def require(context: Context) -> None:
    """Look whether this request's client takes tasks.

    Raises:
        MCPError: it has not declared the extension.
    """
    if not is_declared(context):
        raise MCPError(
            t.MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"This client has not declared the extension {EXTENSION}",
            {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )


def check(context: Context, params: TaskParams) -> None:
    """Look whether a request about a task may be answered.

    Raises:
        MCPError: the client has not declared the extension, or the header that requests are routed by names
            another task.
    """
    require(context)
    headers = getattr(context.request, "headers", None) or {}
    named = headers.get(MCP_NAME_HEADER)
    if named is not None and decode_header_value(named) != params.task_id:
        raise MCPError(t.HEADER_MISMATCH, f"The {MCP_NAME_HEADER} header does not match params.taskId")


def unknown() -> MCPError:
    """What is said of an id that no task of this caller has."""
    return MCPError(t.INVALID_PARAMS, "You have no task of this id")
