"""What `pygent top` shows: pure, from two samples of the servers' numbers to lines that fit the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pygent_registry.cli.terminal import counted


@dataclass(frozen=True, kw_only=True)
class Row:
    """One server: as it is, and what it did between two samples."""

    name: str
    state: str
    why: str = ""
    kind: str = ""
    pid: int | None = None
    rss_bytes: int | None = None
    cpu_percent: float | None = None
    seconds_up: float | None = None
    calls: int = 0
    calls_per_second: float = 0.0
    p50_ms: float | None = None
    """Of the latest calls, of which 256 are kept."""
    p95_ms: float | None = None
    errors: int = 0
    restarts: int = 0
    in_flight: int = 0
    waiting: int = 0


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One sample: when, and what `/servers` said."""

    at: float
    servers: Mapping[str, Mapping[str, Any]]

    def since(self, before: Frame, sort: str = "name") -> list[Row]:
        """The rows, the rates being those since an earlier sample."""
        seconds = max(self.at - before.at, 1e-6)
        rows = [_row(name, now, before.servers.get(name, {}), seconds) for name, now in self.servers.items()]
        return sorted(sorted(rows, key=lambda row: row.name), key=_SORTS[sort])


_SORTS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: row.name,
    "state": lambda row: (row.state == "ready", row.state),
    "calls": lambda row: (-row.calls_per_second, -row.calls),
    "p95": lambda row: -(row.p95_ms or 0),
    "errors": lambda row: -row.errors,
    "cpu": lambda row: -(row.cpu_percent or 0),
    "rss": lambda row: -(row.rss_bytes or 0),
}


def _row(name: str, now: Mapping[str, Any], before: Mapping[str, Any], seconds: float) -> Row:
    same = now.get("pid") == before.get("pid")  # another process's time is no rate of this one's
    cpu = None
    if same and "cpu_seconds" in now and "cpu_seconds" in before:
        cpu = round(max(now["cpu_seconds"] - before["cpu_seconds"], 0.0) / seconds * 100, 1)
    done = now.get("calls", 0) - before.get("calls", 0) if before else 0
    return Row(
        name=name,
        state=now["state"],
        why=now.get("why", ""),
        kind=now.get("kind", ""),
        pid=now.get("pid"),
        rss_bytes=now.get("rss_bytes"),
        cpu_percent=cpu,
        seconds_up=now.get("seconds_up"),
        calls=now.get("calls", 0),
        calls_per_second=round(done / seconds, 1),
        p50_ms=now.get("p50_ms"),
        p95_ms=now.get("p95_ms"),
        errors=now.get("errors", 0),
        restarts=max(now.get("starts", 1) - 1, 0),
        in_flight=now.get("in_flight", 0),
        waiting=now.get("waiting", 0),
    )


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; of those that do not fit, the one with the highest `spare` goes first."""

    title: str
    text: Callable[[Row], str]
    spare: int = 0
    left: bool = False


COLUMNS = (
    Column(title="SERVER", text=lambda row: row.name, left=True),
    Column(title="STATE", text=lambda row: row.state, left=True),
    Column(title="PID", text=lambda row: _or_dash(row.pid), spare=7),
    Column(title="UP", text=lambda row: _age(row.seconds_up), spare=8),
    Column(title="RSS", text=lambda row: _size(row.rss_bytes), spare=5),
    Column(title="CPU%", text=lambda row: _or_dash(row.cpu_percent), spare=4),
    Column(title="CALLS", text=lambda row: f"{row.calls}", spare=6),
    Column(title="/S", text=lambda row: f"{row.calls_per_second:.1f}", spare=1),
    Column(title="P50", text=lambda row: _ms(row.p50_ms), spare=9),
    Column(title="P95", text=lambda row: _ms(row.p95_ms), spare=2),
    Column(title="ERR", text=lambda row: f"{row.errors}"),
    Column(title="FLY", text=lambda row: f"{row.in_flight}", spare=10),
    Column(title="WAIT", text=lambda row: f"{row.waiting}", spare=11),
    Column(title="RST", text=lambda row: f"{row.restarts}", spare=3),
)


def lines(rows: Sequence[Row], address: str, *, colours: bool, width: int | None = None) -> list[str]:
    """The picture: a sentence, the table in as many columns as fit, and why servers are not up."""
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    up = sum(row.state == "ready" for row in rows)
    rate = sum(row.calls_per_second for row in rows)
    head = f"{address}: {up} of {counted(len(rows), 'server')} ready, {rate:.1f} calls/s"
    table = _table(rows, _columns(rows, width))
    why = [f"{row.name}: {row.why}" for row in rows if row.why]
    shown = [head, "", *table, *([""] if why else []), *why]
    cut = [line if not width or len(line) <= width else line[: width - 1] + "…" for line in shown]
    return [_coloured(line, at, rows) for at, line in enumerate(cut)] if colours else cut


def coloured() -> bool:
    """Whether to use colours: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _columns(rows: Sequence[Row], width: int) -> list[Column]:
    chosen = list(COLUMNS)
    while width and _width(rows, chosen) > width and any(column.spare for column in chosen):
        chosen.remove(max(chosen, key=lambda column: column.spare))
    return chosen


def _width(rows: Sequence[Row], columns: Iterable[Column]) -> int:
    return (
        sum(max(len(column.title), *(len(column.text(row)) for row in rows), 0) + 2 for column in columns) - 2
    )


def _table(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    cells = [
        [column.title for column in columns],
        *([column.text(row) for column in columns] for row in rows),
    ]
    widths = [max(map(len, one)) for one in zip(*cells, strict=True)]
    return [
        "  ".join(
            text.ljust(room) if column.left else text.rjust(room)
            for text, room, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in cells
    ]


def _coloured(line: str, at: int, rows: Sequence[Row]) -> str:
    """The titles bold; a server that is up plain, one on its way yellow, one that is down red."""
    if at in (0, 2):
        return f"\x1b[1m{line}\x1b[0m"
    if 0 <= at - 3 < len(rows):
        colour = {"ready": "", "starting": "33", "connecting": "33", "degraded": "33", "idle": "33"}
        if code := colour.get(rows[at - 3].state, "31"):
            return f"\x1b[{code}m{line}\x1b[0m"
    return line


def _or_dash(value: object) -> str:
    return "-" if value is None else f"{value}"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value / 1000:.1f}s" if value >= 10_000 else f"{value:.0f}ms" if value >= 100 else f"{value:.1f}ms"
    )


def _size(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1e9:.1f}G" if value >= 1e9 else f"{value / 1e6:.0f}M"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 3600:
        return f"{seconds // 60:.0f}m"
    return f"{seconds // 3600:.0f}h" if seconds < 172_800 else f"{seconds // 86_400:.0f}d"
