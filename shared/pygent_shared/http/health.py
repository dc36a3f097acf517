"""`/health/deep`: whether everything works, looked at now and not merely believed.

What is looked at: the databases and the disk of the data folder, for every front; a front adds its own. Each
part has a time limit, and the answer is kept for some seconds, so that asking often costs nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pygent_shared.database import damage
from pygent_shared.errors import PygentError
from pygent_shared.settings import Settings

PATH = "/health/deep"
KEPT_SECONDS = 5.0
PART_SECONDS = 4.0
DATABASE_SECONDS = 1.0
LEAST_FREE_BYTES = 100_000_000

Part = Mapping[str, Any]
"""`"ok"`, and what was found."""
Check = Callable[[], Awaitable[Part]]


def deep_route(settings: Settings, checks: Mapping[str, Check]) -> Route:
    """The route: 200 where every part is well, else 503; both with all parts."""
    deep = Deep({"databases": partial(databases, settings), "disk": partial(disk, settings), **checks})

    async def asked(request: Request) -> JSONResponse:
        report = await deep.report()
        return JSONResponse(report, status_code=200 if report["ok"] else 503)

    return Route(PATH, endpoint=asked, methods=["GET"])


class Deep:
    """Looks at all parts at once; whoever asks meanwhile, or soon after, is given the same answer."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._looking = anyio.Lock()
        self._report: dict[str, Any] = {}
        self._until = 0.0

    async def report(self) -> dict[str, Any]:
        async with self._looking:
            if anyio.current_time() >= self._until:
                began = time.perf_counter()
                parts = await self._look()
                ok = all(part["ok"] for part in parts.values())
                ms = round((time.perf_counter() - began) * 1000, 1)
                self._report = {"ok": ok, "ms": ms, "parts": parts}
                self._until = anyio.current_time() + KEPT_SECONDS
            return self._report

    async def _look(self) -> dict[str, Part]:
        parts: dict[str, Part] = {name: {} for name in self._checks}

        async def look(name: str, check: Check) -> None:
            parts[name] = {"ok": False, "why": f"gave no answer within {PART_SECONDS:g} s"}
            with anyio.move_on_after(PART_SECONDS):
                try:
                    parts[name] = await check()
                except (OSError, PygentError) as error:
                    parts[name] = {"ok": False, "why": str(error)}

        async with anyio.create_task_group() as looking:
            for name, check in self._checks.items():
                looking.start_soon(look, name, check)
        return parts


async def databases(settings: Settings) -> Part:
    """Each database in the data folder, as far as SQLite can look through it within its time."""

    def look() -> dict[str, list[str]]:
        return {
            path.name: damage(path, within=DATABASE_SECONDS)
            for path in sorted(settings.data_dir.glob("*.db"))
        }

    found = await to_thread.run_sync(look, abandon_on_cancel=True)
    damaged = {name: findings[0] for name, findings in found.items() if findings}
    return {"ok": not damaged, "looked_at": list(found), **({"damaged": damaged} if damaged else {})}


async def disk(settings: Settings) -> Part:
    """Room on the disk of the data folder."""
    free = shutil.disk_usage(_existing(settings.data_dir)).free
    return {"ok": free >= LEAST_FREE_BYTES, "free_mb": free // 1_000_000}


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
