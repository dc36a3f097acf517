"""The resource `pygent://servers`: the state of every server, for hosts."""

from __future__ import annotations

import json
from typing import Any

from pygent_registry.envelope import cacheable
from pygent_registry.registry import Registry
from pygent_registry.roles import Role

OWN = "pygent://"
"""What addresses of ours begin with; nobody is told when they change."""
STATUS_URI = f"{OWN}servers"
RESOURCE = {
    "uri": STATUS_URI,
    "name": "servers",
    "description": "The state of every server behind this endpoint: up or not, why not, how many tools.",
    "mimeType": "application/json",
}


def read(registry: Registry, role: Role | None) -> dict[str, Any]:
    """The result of reading it: of every server, or of those that a role sees."""
    report = registry.report()
    if role is not None:
        report["servers"] = {name: of for name, of in report["servers"].items() if role.sees(name)}
    text = json.dumps(report, indent=2)
    contents = [{"uri": STATUS_URI, "mimeType": "application/json", "text": text}]
    return cacheable({"contents": contents})
