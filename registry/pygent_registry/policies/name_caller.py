"""Our own servers are told who calls: what they keep for one caller is not another's."""

from __future__ import annotations

from typing import Any

from pygent_registry.calls import ON_BEHALF_OF
from pygent_registry.policies import EntryOf, Handler, Policy, Request, principal_in
from pygent_shared.caller import acting, told
from pygent_shared.http.identity import Principal


def name_caller(entry_of: EntryOf) -> Policy:
    """Put the caller's name into `_meta` for a server of the suite; no other server learns it.

    A call that one of our servers makes while it serves a host is that host's; one that it makes for work
    begun before is the one's who began it.
    """

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            if (who := told(_principal(request))) and entry_of(request.server).is_ours:
                meta = {**(request.params.get("_meta") or {}), **who}
                request = request.with_params({**request.params, "_meta": meta})
            return await handler(request)

        return handle

    return policy


def _principal(request: Request) -> Principal | None:
    if not request.by:
        return principal_in(request.context)
    if (work := acting()) is not None:
        return work.principal
    call = ON_BEHALF_OF.get()
    return principal_in((call or request).context)
