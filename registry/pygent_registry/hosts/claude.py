"""Claude Desktop.

Its file starts stdio programs only; entries with a `url` are skipped. The Windows app comes as an MSIX
package (since February 2026, also from claude.com), and a packaged app reads its own copy of %APPDATA%: an
entry written to the documented place is never seen (anthropics/claude-code#26073, #25579).
"""

from __future__ import annotations

from pathlib import Path

from pygent_registry.hosts.host import Host
from pygent_registry.hosts.machine import Machine


def locate(machine: Machine) -> Path:
    """The file of the packaged Windows app where there is one, else the documented place."""
    return (_packaged(machine) or machine.app_data / "Claude") / "claude_desktop_config.json"


def _packaged(machine: Machine) -> Path | None:
    if machine.platform != "win32":
        return None
    local = machine.folder("LOCALAPPDATA") or machine.home / "AppData" / "Local"
    packages = sorted(local.glob("Packages/Claude_*"))
    return packages[0] / "LocalCache" / "Roaming" / "Claude" if packages else None


HOST = Host(
    name="claude",
    title="Claude Desktop",
    key="mcpServers",
    locate=locate,
    reload="Quit Claude Desktop and open it again.",
)
