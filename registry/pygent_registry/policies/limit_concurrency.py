"""A server is given so many requests at once; the others wait in line, each caller in its own."""

from __future__ import annotations

from typing import Any

import anyio

from pygent_registry.policies import EntryOf, Handler, Policy, Request
from pygent_registry.tally import Tally
from pygent_registry.turns import Turns
from pygent_shared.errors import TooMany


def limit_concurrency(entry_of: EntryOf, patience: float, tally: Tally) -> Policy:
    """Hold back what is over the entry's `concurrency`, for `patience` seconds at most; `tally` counts."""
    turns: dict[str, Turns] = {}

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            most = entry_of(request.server).concurrency
            if most is None:
                return await handler(request)
            line = turns.get(request.server)
            if line is None:
                line = turns[request.server] = Turns(tally.of(request.server))
            with anyio.move_on_after(patience) as waiting:
                async with line.turn(request.caller, most):
                    waiting.deadline = float("inf")
                    return await handler(request)
            raise TooMany(f'Server "{request.server}"', f"{most} requests at once", patience)

        return handle

    return policy
