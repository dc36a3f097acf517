"""Our own servers are told who calls: what they keep for one caller is not another's."""

from __future__ import annotations

from typing import Any

from pygent_registry.calls import ON_BEHALF_OF
from pygent_registry.policies import EntryOf, Handler, Policy, Request, principal_in
from pygent_shared.caller import META, named


def name_caller(entry_of: EntryOf) -> Policy:
    """Put the caller's name into `_meta` for a server of the suite; no other server learns it.

    A call that one of our servers makes while it serves a host is that host's.
    """

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            name = _name(request)
            if name and entry_of(request.server).is_ours:
                meta = {**(request.params.get("_meta") or {}), META: name}
                request = request.with_params({**request.params, "_meta": meta})
            return await handler(request)

        return handle

    return policy


def _name(request: Request) -> str:
    call = ON_BEHALF_OF.get() if request.by else None
    return named(principal_in(call.context if call else request.context))
