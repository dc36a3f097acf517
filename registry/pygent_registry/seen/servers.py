"""`/servers`: every server with its state, what it uses and how its calls went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pygent_registry import usage
from pygent_registry.registry import Registry
from pygent_registry.tally import FAILURES, OfServer, quantile

PATH = "/servers"
UP = frozenset({"ready", "degraded"})
"""States in which a server is called."""


def servers_route(registry: Registry) -> Route:
    """Every server with its state, what it uses and how its calls went: for `pygent top`."""

    async def servers(request: Request) -> JSONResponse:
        return JSONResponse({"servers": await described(registry)})

    return Route(PATH, endpoint=servers, methods=["GET"])


async def described(registry: Registry) -> dict[str, dict[str, Any]]:
    """Each server's report, with its numbers."""
    reported = registry.report()["servers"]
    used = await to_thread.run_sync(usage.of_groups, pids(reported).values())
    return {
        name: {
            **report,
            **_used(used.get(report.get("pid", -1))),
            **_counted(registry.tally.servers.get(name, OfServer())),
        }
        for name, report in reported.items()
    }


def pids(reported: Mapping[str, Any]) -> dict[str, int]:
    return {name: report["pid"] for name, report in reported.items() if "pid" in report}


def _used(found: usage.Usage | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "rss_bytes": found.rss_bytes,
        "cpu_seconds": round(found.cpu_seconds, 2),
        "seconds_up": round(found.seconds_up, 1),
    }


def _counted(counted: OfServer) -> dict[str, Any]:
    recent = list(counted.recent)
    return {
        "calls": sum(counted.outcomes.values()),
        "outcomes": dict(counted.outcomes),
        "errors": sum(counted.outcomes[outcome] for outcome in FAILURES),
        "in_flight": counted.in_flight,
        "waiting": counted.waiting,
        "p50_ms": _ms(quantile(recent, 0.5)),
        "p95_ms": _ms(quantile(recent, 0.95)),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
