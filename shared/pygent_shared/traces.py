"""Traces: one span for each message of MCP, in the trace that the caller began, passed on to the next server.

The SDK makes the spans (W3C Trace Context in `_meta`, SEP-414) where somebody set OpenTelemetry up. That is
done here, and only where it is asked for: by the setting `traces`, or by the standard OTEL_* variables. The
one rule: unasked, nothing is imported, nothing is sent, and a call costs a look at one variable more.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import propagate, trace

from pygent_shared.errors import MissingExtra
from pygent_shared.settings import Settings

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext

log = logging.getLogger(__name__)

# What is left to be sent gets this long at the end of a process.
LAST_SECONDS = 1.5
CARRIED = ("traceparent", "tracestate", "baggage")
"""Keys of `_meta`, and HTTP headers, that carry a trace (W3C Trace Context and Baggage)."""
_BROUGHT: ContextVar[Mapping[str, str]] = ContextVar("brought", default=MappingProxyType({}))
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def wanted(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody asked for traces, and nobody forbade them."""
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if exporter == "none" or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return bool(settings.traces or exporter == "otlp" or any(environ.get(name) for name in _ENDPOINTS))


def are_on() -> bool:
    """Whether spans are made."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def environ() -> dict[str, str]:
    """The variables by which a child of ours sends its spans to the same place, under a name of its own."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("OTEL_") and name != "OTEL_SERVICE_NAME"
    }


@contextmanager
def exported(settings: Settings, service: str) -> Iterator[None]:
    """Send what happens in the block, if that is wanted. `service` names this process in the traces."""
    if not wanted(settings):
        yield
        return
    try:
        from pygent_shared.otlp import provider
    except ImportError:
        # A server that works without its traces is worth more than none.
        log.warning("No traces are sent: %s", MissingExtra("Sending traces", "otel"))
        yield
        return
    trace.set_tracer_provider(provider(settings.traces, service))
    try:
        yield
    finally:
        end()


def end() -> None:
    """Send what is left, within bounds: the process is about to end."""
    if (shut := getattr(trace.get_tracer_provider(), "shutdown", None)) is not None:
        last = threading.Thread(target=shut, daemon=True)
        last.start()
        last.join(LAST_SECONDS)


class Spans:
    """The SDK's middleware that makes a span of each message, where spans are made; else the way past it.

    It looks for the caller's trace in `_meta`. A host that sends it as HTTP headers is understood as well.
    """

    def __init__(self, of_sdk: ServerMiddleware[Any]) -> None:
        self._of_sdk = of_sdk

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        brought = _BROUGHT.set(_brought(ctx))
        try:
            return await self._spanned(ctx, call_next)
        finally:
            _BROUGHT.reset(brought)

    async def _spanned(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if not are_on():
            return await call_next(ctx)

        async def described(ctx: ServerRequestContext[Any, Any]) -> HandlerResult:
            trace.get_current_span().set_attributes(_transport(ctx))
            return await call_next(ctx)

        parent = contexts.attach(propagate.extract(ctx.request.headers)) if ctx.request is not None else None
        try:
            return await self._of_sdk(ctx, described)
        finally:
            if parent is not None:
                contexts.detach(parent)


@contextmanager
def apart() -> Iterator[None]:
    """What begins in the block belongs to no trace: it outlives the request that happened to begin it."""
    token, brought = contexts.attach(contexts.Context()), _BROUGHT.set({})
    try:
        yield
    finally:
        _BROUGHT.reset(brought)
        contexts.detach(token)


def traced(middleware: list[Any]) -> None:
    """Put `Spans` in the place of what the SDK put first into a server's middleware."""
    if not isinstance(middleware[0], Spans):
        middleware[0] = Spans(middleware[0])


def trace_id(meta: Mapping[str, Any] | None) -> str:
    """The trace that the message in hand belongs to: that of the current span, or else the one its `_meta`
    names; "" where there is none.
    """
    if are_on() and (context := trace.get_current_span().get_span_context()).is_valid:
        return trace.format_trace_id(context.trace_id)
    found = _TRACEPARENT.fullmatch(str(meta.get("traceparent", ""))) if meta else None
    return found[1] if found else ""


def onward() -> dict[str, str]:
    """What carries on the trace of the message in hand, or of the one that began the work in hand: HTTP
    headers and keys of `_meta` alike. The span's where spans are made, or else as it was brought; none where
    there is none.
    """
    if are_on() and trace.get_current_span().get_span_context().is_valid:
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers
    return dict(_BROUGHT.get())


def alone() -> Context:
    """A context that holds the trace of the work in hand, and nothing else of it."""
    context = Context()
    context.run(_BROUGHT.set, onward())
    return context


def _brought(ctx: ServerRequestContext[Any, Any]) -> dict[str, str]:
    """The trace that a message brings in `_meta`, or else in the headers of its request."""
    meta = (ctx.params or {}).get("_meta")
    if isinstance(meta, Mapping) and "traceparent" in meta:
        return {name: str(meta[name]) for name in CARRIED if name in meta}
    return carried(ctx.request.headers) if ctx.request is not None else {}


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """The keys of `_meta` that carry on the trace of an HTTP request's headers; none where it has none."""
    if "traceparent" not in headers:
        return {}
    return {name: headers[name] for name in CARRIED if name in headers}


def _transport(ctx: ServerRequestContext[Any, Any]) -> dict[str, str]:
    """How the message came, and which resource it is about, by the conventions' names."""
    found = {"network.transport": "pipe" if ctx.request is None else "tcp"}
    if ctx.request is not None and (session := ctx.request.headers.get("mcp-session-id")):
        found["mcp.session.id"] = session
    if ctx.params and isinstance(uri := ctx.params.get("uri"), str):
        found["mcp.resource.uri"] = uri
    return found
