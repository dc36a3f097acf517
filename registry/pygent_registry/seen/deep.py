"""A registry's parts of `/health/deep`: whether its servers answer, and whether the audit can be written."""

from __future__ import annotations

from typing import Any

import anyio
from mcp import MCPError

from pygent_registry.registry import Registry
from pygent_registry.seen.servers import UP
from pygent_shared.errors import PygentError
from pygent_shared.http.health import Check, Part

PING_SECONDS = 2.0
PINGS_AT_ONCE = 16


def checks(registry: Registry) -> dict[str, Check]:
    """A registry's parts."""

    async def servers() -> Part:
        reported = registry.report()["servers"]
        found = {name: {"ok": False, **report} for name, report in reported.items()}
        at_once = anyio.CapacityLimiter(PINGS_AT_ONCE)

        async def ask(name: str) -> None:
            async with at_once:
                found[name] |= await _pinged(registry, name)

        async with anyio.create_task_group() as asking:
            for name, report in reported.items():
                if report["state"] in UP:
                    asking.start_soon(ask, name)
        return {"ok": all(server["ok"] for server in found.values()), "servers": found}

    async def audit() -> Part:
        if registry.settings.audit == "off":
            return {"ok": True, "off": True}
        return {"ok": True, "last": await registry.journal.check()}

    return {"servers": servers, "audit": audit}


async def _pinged(registry: Registry, name: str) -> dict[str, Any]:
    """Whether a server answers now. An error is an answer."""
    link = registry.downstreams[name].primary
    began = anyio.current_time()
    with anyio.move_on_after(PING_SECONDS):
        try:
            # The 2026 era has no ping; what it has to be greeted with is as cheap.
            await link.request("server/discover" if link.modern else "ping", {})
        except MCPError:
            pass
        except PygentError as error:
            return {"ok": False, "why": str(error)}
        return {"ok": True, "ms": round((anyio.current_time() - began) * 1000, 1)}
    return {"ok": False, "why": f"gave no answer within {PING_SECONDS:g} s"}
