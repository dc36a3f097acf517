"""How a server is, as `/health/ready`, `pygent doctor` and `pygent://servers` tell it."""

from __future__ import annotations

from typing import Any

import anyio

from pygent_registry.downstream import Downstream


def described(item: Downstream) -> dict[str, Any]:
    """Its state, since when, and why it is not ready; what it offers where it is up."""
    link = item.primary
    described: dict[str, Any] = {
        "kind": item.entry.kind,
        "state": link.state,
        "since": link.since.isoformat(timespec="seconds"),
    }
    if link.is_up:
        listing = item.primary.listing
        described["tools"] = len(listing.tools) if listing else 0
        described["era"] = "2026" if link.modern else "2025"
    if link.state != "ready":
        described["why"] = link.why or "is starting"
    if link.next_try is not None:
        described["next_try_s"] = round(link.next_try, 1)
    if ends := link.record.lately(anyio.current_time()):
        described["ended_lately"] = ends
    if link.is_up and link.output.pid is not None:
        described["pid"] = link.output.pid
    if link.starts > 1:
        described["starts"] = link.starts
    return described
