"""Visual Studio Code, for all workspaces: the default profile's `mcp.json`.

The file is JSON with comments, and its key is `servers`: VS Code ignores `mcpServers` without a word.
"""

from __future__ import annotations

from pathlib import Path

from pygent_registry.hosts.host import Host
from pygent_registry.hosts.machine import Machine


def locate(machine: Machine) -> Path:
    return machine.app_data / "Code" / "User" / "mcp.json"


HOST = Host(
    name="vscode",
    title="Visual Studio Code",
    key="servers",
    locate=locate,
    reload='VS Code offers to start it; otherwise run "MCP: List Servers" from the command palette.',
    typed=True,
    comments=True,
)
