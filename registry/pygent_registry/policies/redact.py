"""Secrets stay where they are: what servers answer, errors included, comes without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp import MCPError

from pygent_registry.policies import Handler, Policy, Request
from pygent_registry.redaction import Redactor
from pygent_shared.errors import PygentError


def redact(redactor: Callable[[], Redactor]) -> Policy:
    """Take secrets out of results and errors.

    Args:
        redactor: knows the secrets of all servers: one that reads files may come across another's.
    """

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            try:
                result: dict[str, Any] = redactor().value(await handler(request))
            except MCPError as error:
                raise _without(redactor(), error) from error
            except PygentError as error:
                error.args = tuple(redactor().value(list(error.args)))
                raise
            return result

        return handle

    return policy


def _without(redactor: Redactor, error: MCPError) -> MCPError:
    found = error.error
    return MCPError(found.code, redactor.text(found.message), redactor.value(found.data))
