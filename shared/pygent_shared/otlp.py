"""Spans sent by OpenTelemetry's SDK. Needs the extra `otel`, and is imported only where traces are wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind, Status


def provider(endpoint: str, service: str) -> TracerProvider:
    """What makes spans and sends them.

    Args:
        endpoint: the collector's base address; "" where OTEL_* variables say.
        service: this process's name in the traces, unless OTEL_SERVICE_NAME has another.
    """
    exporter = Wordless(endpoint=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None)
    named = os.environ.get("OTEL_SERVICE_NAME") or service
    resource = Resource.create({SERVICE_NAME: named, SERVICE_VERSION: version("pygent-factory")})
    made = TracerProvider(resource=resource)
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made


class Wordless(OTLPSpanExporter):
    """Leaves out what other servers' errors say: it may hold secrets, and no policy has seen it yet.

    Their codes stay, and so do the words that were let through to the host (in the span of its request).
    """

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            if span.kind is SpanKind.CLIENT and span.status.description:
                span._status = Status(span.status.status_code)
        return super().export(spans)
