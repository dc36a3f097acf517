"""A process that carries coding tasks out: `python coding_worker.py FOLDER DIES COUNT`, until it is ended.

DIES: "move" ends it by kill -9 as soon as it has moved a branch, before that is written down; "run", "gates"
make both slow. COUNT tasks are begun by it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio

sys.path.append(str(Path(__file__).parent))

from coding_peers import Asked, CodingPeers
from workflow_peers import note

from pygent_orchestration.actions import Actions
from pygent_orchestration.coding.gates import Gate, Policy, Verdict
from pygent_orchestration.coding.git import Repository
from pygent_orchestration.coding.merging import Check
from pygent_orchestration.coding.task import Coding
from pygent_orchestration.coding.work import CODING, Work
from pygent_shared.durable.engine import Engine

GOOD = "def double(x: int) -> int:\n    return 2 * x\n"
BAD = "def double(x: int) -> int:\n    return x +\n"


def coder(asked: Asked) -> str:
    """Wrong in the first attempt; a file of its own for each task."""
    assert asked.folder is not None
    name = asked.task.split()[0]
    (asked.folder / f"{name}.py").write_text(BAD if asked.number == 1 else GOOD)
    return "It doubles."


def compiles(folder: Path, seconds: float = 0.0) -> Check:
    """A gate that looks whether what is committed is Python; each time adds a line to the log."""

    async def check(worktree: Path, base: str, policy: Policy) -> Verdict:
        note(folder / "done", f"{os.getpid()} gates {worktree.name}")
        await anyio.sleep(seconds)
        repository = Repository(worktree)
        commit = repository.git("rev-parse", "HEAD")
        why, names = "", repository.git("ls-tree", "-r", "--name-only", commit).splitlines()
        for name in [name for name in names if name.endswith(".py")]:
            try:
                compile(repository.git("show", f"{commit}:{name}"), name, "exec")
            except SyntaxError as error:
                why = f"{name}: {error}"
        gate = Gate(level=1, name="lint", green=not why, seconds=0.0, why=why)
        return Verdict.of(commit, [gate])

    return check


def work(repository: Path, task: str) -> Work:
    """A task that `coder` can do."""
    return Work(
        task=task,
        prp=f"{task} doubles.",
        repository=str(repository),
        base="main",
        branch="feature/f",
        coder="coder",
    )


def engine_of(folder: Path, seconds: float = 0.0) -> Engine:
    """The engine of a process on a folder."""
    engine = Engine(folder / "durable.db", name="coding")
    peers = CodingPeers(folder, coder, seconds)
    coding = Coding(Actions(peers), folder / "coding", check=compiles(folder, seconds))
    engine.workflow(CODING, coding.work)
    return engine


async def main() -> None:
    folder, dies = Path(sys.argv[1]), sys.argv[2]
    move = Repository.move

    def move_and_die(self: Repository, branch: str, to: str, before: str) -> None:
        move(self, branch, to, before)
        note(folder / "done", f"{os.getpid()} moved {branch}")
        os.kill(os.getpid(), signal.SIGKILL)

    if dies == "move":
        Repository.move = move_and_die  # type: ignore[method-assign]
    engine = engine_of(folder, 0.3 if dies in ("run", "gates") else 0.0)
    async with engine.running():
        note(folder / "done", f"{os.getpid()} up")
        for number in range(int(sys.argv[3])):
            asked = work(folder / "repository", f"t{number}").model_dump(mode="json")
            await engine.start(CODING, asked, id=f"task-{number}")
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
