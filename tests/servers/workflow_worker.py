"""A process that carries workflows out: `python workflow_worker.py FOLDER STORE NAME COUNT`.

It begins so many of a definition, `NAME-0` and on, and works until it is ended. Each call that a step
really makes adds a line to FOLDER/done: its process, and `WORKFLOW.STEP`. So does each connection by network.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import anyio

sys.path.append(str(Path(__file__).parent))

from workflow_peers import Peers, note

from pygent_orchestration.orchestration import Orchestration
from pygent_shared.settings import Settings

STEP_SECONDS = 0.1


def at_work(folder: Path, store: str) -> Orchestration:
    """The orchestration of a process on a folder, and on a PostgreSQL if one is named."""
    settings = Settings(
        data_dir=folder,
        durable_url=store,
        embedder="none",
        workflow_workers=3,
        redis_url=os.environ.get("WORKER_REDIS", ""),
    )
    return Orchestration(settings, Peers(log=folder / "done", seconds=STEP_SECONDS))


async def main() -> None:
    folder, store, name, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and not isinstance(arguments[1], str):
            note(folder / "done", f"{os.getpid()} connects {arguments[1]}")

    sys.addaudithook(watch)
    orchestration = at_work(folder, store)
    async with orchestration.lifespan(None):
        workflows = await orchestration.workflows()
        note(folder / "done", f"{os.getpid()} up")
        for number in range(count):
            await workflows.begin(name, {"id": f"{name}-{number}"}, id=f"{name}-{number}")
        note(folder / "done", f"{os.getpid()} begun")
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
