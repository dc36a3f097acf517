"""`/metrics`: what is measured, in Prometheus' text format, gathered when it is asked for.

The one rule: a label's values are bounded. Callers, arguments and URIs are none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from prometheus_client import Metric

PATH = "/metrics"

Gather = Callable[[], Awaitable[Iterable["Metric"]]]
"""Gives metric families, made of numbers that were counted without them."""


def metrics_route(*gathers: Gather) -> Route:
    """The route. What every process has is measured too: its memory, processor time, files and threads."""

    async def metrics(request: Request) -> Response:
        families = [family for gather in gathers for family in await gather()]
        text, kind = await to_thread.run_sync(_exposed, families, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": kind})

    return Route(PATH, endpoint=metrics, methods=["GET"])


def sessions_of(managers: Any) -> Gather:
    """The sessions of hosts of the 2025 era on each path; the 2026 era has none."""

    async def gather() -> Iterable[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily("pygent_http_sessions", "Open sessions over HTTP.", labels=["path"])
        for path, manager in managers.items():
            family.add_metric([path], len(manager._server_instances))
        return [family]

    return gather


class _Gathered:
    """What was gathered, as `prometheus_client` wants it handed over."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _exposed(families: list[Metric], accept: str) -> tuple[bytes, str]:
    """The text of these and of the process's own, and its content type. Its registry is its own."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.exposition import choose_encoder

    build = GaugeMetricFamily("pygent_build_info", "The program.", labels=["version"])
    build.add_metric([version("pygent-factory")], 1)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Gathered([build, *families]))
    encoded, kind = choose_encoder(accept)
    return encoded(registry), kind
