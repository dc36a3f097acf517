"""A tool that the entry does not allow is not called, however its name was learnt."""

from __future__ import annotations

from typing import Any

from pygent_registry.policies import EntryOf, Handler, Policy, Request
from pygent_shared.errors import NotAllowed


def permit(entry_of: EntryOf) -> Policy:
    """Refuse what the entry's `allow` and `deny` forbid; lists leave it out (`Downstream.listing`)."""

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            if request.tool is not None and not entry_of(request.server).permits(request.tool):
                raise NotAllowed(
                    f'The tool "{request.name}"',
                    f'is forbidden by the entry "{request.server}" of the config file',
                    'Use another tool, or change its "allow" and "deny" there.',
                )
            return await handler(request)

        return handle

    return policy
