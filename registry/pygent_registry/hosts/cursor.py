"""Cursor, for all projects: `~/.cursor/mcp.json`, on every platform."""

from __future__ import annotations

from pathlib import Path

from pygent_registry.hosts.host import Host
from pygent_registry.hosts.machine import Machine


def locate(machine: Machine) -> Path:
    return machine.home / ".cursor" / "mcp.json"


HOST = Host(
    name="cursor",
    title="Cursor",
    key="mcpServers",
    locate=locate,
    reload="Cursor reads it at once; see Settings, MCP.",
)
