"""What a tool that only reads has just answered is answered again without asking it."""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from typing import Any

import anyio

from pygent_registry.abridge import size_of
from pygent_registry.policies import EntryOf, Handler, Policy, Request

MOST_ANSWERS = 256
MOST_BYTES = 256_000
"""The largest answer that is remembered."""

Key = tuple[str, str, str, str, int]


def cache_reads(entry_of: EntryOf) -> Policy:
    """Remember answers for the seconds that the entry's `cache` says, for each caller alone.

    Only where the server is believed when it says that a tool only reads; and any call of a tool that may
    write forgets all that its server answered before, or is answering meanwhile.
    """
    answers: OrderedDict[Key, tuple[float, dict[str, Any]]] = OrderedDict()
    writes: defaultdict[str, int] = defaultdict(int)

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            entry = entry_of(request.server)
            if not entry.cache or request.tool is None:
                return await handler(request)
            if not _only_reads(request) or not entry.is_believed:
                writes[request.server] += 1
                try:
                    return await handler(request)
                finally:
                    writes[request.server] += 1
            key = _key(request, writes[request.server])
            if (known := answers.get(key)) and known[0] > anyio.current_time():
                return known[1]
            result = await handler(request)
            if _is_final(result) and size_of(result) <= MOST_BYTES:
                answers[key] = anyio.current_time() + entry.cache, result
                if len(answers) > MOST_ANSWERS:
                    answers.popitem(last=False)
            return result

        return handle

    return policy


def _only_reads(request: Request) -> bool:
    hints = request.definition.get("annotations") or {}
    # A call that brings answers to a server's questions is not the call that another would make.
    return hints.get("readOnlyHint") is True and "requestState" not in request.params


def _key(request: Request, writes: int) -> Key:
    arguments = json.dumps(request.params.get("arguments"), sort_keys=True)
    return request.server, str(request.tool), request.caller, arguments, writes


def _is_final(result: dict[str, Any]) -> bool:
    return not result.get("isError") and result.get("resultType", "complete") == "complete"
