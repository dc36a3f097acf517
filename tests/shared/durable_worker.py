"""A process at work on a durable store: `python durable_worker.py FOLDER [ID …] [--tick]`.

It starts a workflow of each id, and with --tick one every second, and works until it is ended. Each
step that it really does adds a line to FOLDER/done: its process, the workflow and the step.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import anyio

from pygent_shared.durable.engine import Engine

STEP_SECONDS = 0.1


def counting(folder: Path) -> Engine:
    """An engine with one workflow, `count`: so many slow steps, then a message awaited if it is to."""
    engine = Engine(folder / "durable.db", version=os.environ.get("VERSION", "1"))

    async def count(name: str, steps: int, waits: bool = False) -> dict[str, object]:
        from pygent_shared.durable import workflow

        total = 0
        for number in range(steps):

            async def square(number: int = number) -> int:
                note(folder, f"{os.getpid()} {name} {number}")
                await anyio.sleep(STEP_SECONDS)
                return number * number

            total += await workflow.step(f"square {number}", square)
            await workflow.publish("so far", total)
        said = await workflow.signalled("word", 60) if waits else None
        await workflow.emit("said", said)
        return {"total": total, "said": said}

    async def tick(at: str, word: str) -> None:
        note(folder, f"{word} {os.getpid()} {at}")

    engine.workflow("count", count)
    engine.workflow("tick", tick)
    return engine


def note(folder: Path, line: str) -> None:
    file = os.open(folder / "done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


async def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("folder", type=Path)
    asked.add_argument("start", nargs="*")
    asked.add_argument("--tick", action="store_true")
    options = asked.parse_args()
    sys.addaudithook(
        lambda event, args: event == "socket.connect" and note(options.folder, f"connect {args}")
    )
    engine = counting(options.folder)
    async with engine.running():
        for id in options.start:
            await engine.start("count", id, 10, id=id)
        if options.tick:
            await engine.schedule("tick", "tick", "* * * * * *", "UTC", "tick")
        note(options.folder, f"{os.getpid()} up")
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
