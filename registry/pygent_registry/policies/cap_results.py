"""A result too large for a model's context is cut; the whole stays readable as a resource."""

from __future__ import annotations

from typing import Any

from pygent_registry.abridge import abridged, size_of
from pygent_registry.policies import EntryOf, Handler, Policy, Request
from pygent_registry.results import Results
from pygent_shared.tasks.wire import GET

COMPLETE = "complete"
# The revision that brought resource links; an older host would refuse the whole result.
LINKS_SINCE = "2025-06-18"


def cap_results(entry_of: EntryOf, results: Results, most: int) -> Policy:
    """Cut tools' results that are larger than the entry's `maxResultBytes`, or `most`, where a host asked."""

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            result = await handler(request)
            if request.method == GET and isinstance(ended := result.get("result"), dict):
                return {**result, "result": capped(request, ended)}
            if request.tool is None or request.by or result.get("resultType", COMPLETE) != COMPLETE:
                return result
            return capped(request, result)

        def capped(request: Request, result: dict[str, Any]) -> dict[str, Any]:
            limit = entry_of(request.server).max_result_bytes or most
            size = size_of(result)
            return result if size <= limit else _cut(request, result, size, limit, results)

        return handle

    return policy


def _cut(request: Request, result: dict[str, Any], size: int, limit: int, results: Results) -> dict[str, Any]:
    uri = results.keep(request.caller, result, size)
    place = f"The whole is the resource {uri}" if uri else "The whole is too large to be kept"
    cut = abridged(result, limit, f"Cut: the result has {size:,} bytes, and {limit:,} are passed on. {place}")
    if uri and request.context.protocol_version >= LINKS_SINCE:
        description = f"All {size:,} bytes of what {request.name} answered; kept for a while."
        link = {"type": "resource_link", "uri": uri, "name": "whole result", "description": description}
        cut["content"].append(link)
    return cut
