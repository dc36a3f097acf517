"""Claude Code, user scope: the top-level `mcpServers` of `.claude.json`, in every project.

The file holds the program's whole state besides, and CLAUDE_CONFIG_DIR moves it.
"""

from __future__ import annotations

from pathlib import Path

from pygent_registry.hosts.host import Host
from pygent_registry.hosts.machine import Machine


def locate(machine: Machine) -> Path:
    return (machine.folder("CLAUDE_CONFIG_DIR") or machine.home) / ".claude.json"


HOST = Host(
    name="claude-code",
    title="Claude Code",
    key="mcpServers",
    locate=locate,
    reload="Start a new Claude Code session.",
    typed=True,
)
