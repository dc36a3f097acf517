"""What the processes of servers use, by process group, read from /proc (proc(5)) in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Of a group: a server, and whatever it started."""

    cpu_seconds: float
    rss_bytes: int
    seconds_up: float
    """Since its oldest process was started."""


def of_groups(groups: Iterable[int]) -> dict[int, Usage]:
    """What each of these uses; those that are gone are left out, all of them where there is no /proc."""
    wanted = set(groups)
    if not wanted or not (PROC / "uptime").exists():
        return {}
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    now = float((PROC / "uptime").read_text().split()[0])
    found: dict[int, Usage] = {}
    for pid in filter(str.isdecimal, os.listdir(PROC)):
        try:
            with open(f"{PROC}/{pid}/stat", "rb", buffering=0) as file:
                fields = file.read(4096).rpartition(b")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if (group := int(fields[2])) in wanted:
            so_far = found.get(group, Usage(cpu_seconds=0.0, rss_bytes=0, seconds_up=0.0))
            found[group] = Usage(
                cpu_seconds=so_far.cpu_seconds + sum(map(int, fields[11:15])) / tick,
                rss_bytes=so_far.rss_bytes + int(fields[21]) * page,
                seconds_up=max(so_far.seconds_up, now - int(fields[19]) / tick),
            )
    return found


def cpu_seconds(group: int) -> float:
    """Processor time a group has used so far; 0 where it is gone, or there is no /proc to read it from.

    A server that is still starting uses some; one that hangs does not.
    """
    used = of_groups([group]).get(group)
    return used.cpu_seconds if used else 0.0
