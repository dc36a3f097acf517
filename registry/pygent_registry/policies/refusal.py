"""What is refused before it has an owner leaves a record too."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from mcp.server.context import ServerRequestContext

from pygent_registry.envelope import params_of
from pygent_registry.policies import Policy, Request, wrapped
from pygent_shared.errors import PygentError

Owner = TypeVar("Owner")


async def owned(
    finding: Awaitable[Owner],
    name: str,
    context: ServerRequestContext[Any, Any],
    recording: Iterable[Policy],
    by: str = "",
) -> Owner:
    """What `finding` gives.

    Args:
        finding: finds the owner of a name.
        recording: the policies that are told where there is none.

    Raises:
        PygentError: as `finding` does.
    """
    try:
        return await finding
    except PygentError as error:
        refusal = error

    async def refuse(request: Request) -> dict[str, Any]:
        raise refusal

    request = Request(server="", name=name, params=params_of(context), context=context, definition={}, by=by)
    await wrapped(refuse, recording)(request)
    raise refusal
