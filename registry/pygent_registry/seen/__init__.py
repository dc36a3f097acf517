"""What a registry shows of itself over HTTP: its servers as they are now (`/servers`), its numbers
(`/metrics`), and its parts of `/health/deep`.

The one rule: what state a server is in is read from the registry's report, which everybody else reads too.
"""

from __future__ import annotations

from typing import Any

from pygent_registry.registry import Registry
from pygent_registry.seen.deep import checks
from pygent_registry.seen.numbers import numbers
from pygent_registry.seen.servers import servers_route


def http_options(registry: Registry) -> dict[str, Any]:
    """For `build_app`: what is shown of this registry."""
    return {
        "readiness": registry.report,
        "metrics": [numbers(registry)],
        "checks": checks(registry),
        "more": [servers_route(registry)],
    }
