"""The trace that a host began goes on to the server, whichever way the host sent it."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace

from pygent_registry.policies import Handler, Request
from pygent_shared import traces


def carry_trace(handler: Handler) -> Handler:
    """Put the trace that HTTP headers name into `_meta`, unless that names one, which is nearer to the call.

    Where spans are made, the one in hand takes its place on the way out, and learns which server it went to.
    """

    async def handle(request: Request) -> dict[str, Any]:
        if traces.are_on():
            trace.get_current_span().set_attribute("pygent.server", request.server)
        if (http := request.context.request) is not None:
            meta = request.params.get("_meta") or {}
            if "traceparent" not in meta and (found := traces.carried(http.headers)):
                request = request.with_params({**request.params, "_meta": {**meta, **found}})
        return await handler(request)

    return handle
