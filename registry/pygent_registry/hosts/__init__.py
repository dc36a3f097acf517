"""The hosts pygent can be installed into: one file each, and one line in the table.

A host's file is imported when it is asked for. `prove` is in `pygent_registry.hosts.proof`.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from pygent_registry.hosts.entry import NAME, Entry, this_program
from pygent_registry.hosts.machine import Machine
from pygent_registry.hosts.plan import Plan, apply
from pygent_shared.errors import UnknownName

if TYPE_CHECKING:
    from pygent_registry.hosts.host import Host

__all__ = ["HOSTS", "NAME", "Entry", "Machine", "Plan", "apply", "find_host", "this_program"]

HOSTS = {
    "claude": "pygent_registry.hosts.claude:HOST",
    "claude-code": "pygent_registry.hosts.claude_code:HOST",
    "cursor": "pygent_registry.hosts.cursor:HOST",
    "vscode": "pygent_registry.hosts.vscode:HOST",
}


def find_host(name: str) -> Host:
    """The host of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in HOSTS:
        raise UnknownName("host", name, HOSTS, "For any other, paste: pygent install claude --print")
    found: Host = resolve_name(HOSTS[name])
    return found
