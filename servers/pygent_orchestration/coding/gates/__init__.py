"""What work must pass before it is merged: `await check(worktree, base, policy)` judges a worktree's HEAD."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from pygent_orchestration.coding.gates import tree
from pygent_orchestration.coding.gates.bench import Bench, opened
from pygent_orchestration.coding.gates.demands import FILES, Demands, demanded
from pygent_orchestration.coding.gates.deployed import deployed
from pygent_orchestration.coding.gates.holdout import held_out
from pygent_orchestration.coding.gates.integrated import integrated
from pygent_orchestration.coding.gates.linted import linted, typed
from pygent_orchestration.coding.gates.policy import Policy
from pygent_orchestration.coding.gates.tested import tested
from pygent_orchestration.coding.gates.touched import touched
from pygent_orchestration.coding.gates.verdict import Gate, Verdict
from pygent_shared.errors import PygentError

__all__ = ["Gate", "Policy", "Verdict", "check"]

Look = Callable[[], Awaitable[tuple[str, str]]]
"""Finds out why a gate is red, empty where it is green, and its output."""
Level = tuple[int, Mapping[str, Look]]


async def check(worktree: Path, base: str, policy: Policy) -> Verdict:
    """Judge what is committed in a worktree. A level is asked where all before it are green.

    Args:
        worktree: its HEAD is judged; no file of it is looked at.
        base: the commit that the work began with: what differs from it is the work.
        policy: what is demanded.

    Raises:
        FileRefused: there is no such worktree or commit, or no such tests.
        ConfigInvalid: the repository's config demands something there is not.
        MissingExtra: a tool that is demanded is not installed.
        SandboxMissing: this machine has no sandbox for code that nobody trusts.
    """
    begun = await run_sync(tree.commit, worktree, base)
    last = await run_sync(tree.commit, worktree)
    configs = await run_sync(tree.texts, worktree, begun, FILES)
    demands = demanded(policy, configs)
    gates: list[Gate] = []
    with opened(policy.seconds, await run_sync(tree.environment, worktree)) as bench:
        await run_sync(_laid_out, bench, worktree, last, configs)
        changes = await run_sync(tree.changes, worktree, begun, last)
        own: Look = partial(run_sync, touched, worktree, begun, changes, bench, policy)
        levels: list[Level] = [(0, {"paths": own}), *_levels(bench, demands, changes)]
        for level, looks in levels:
            gates += await _asked(level, looks)
            if not all(gate.green for gate in gates):
                break
    return Verdict.of(last, gates)


def _laid_out(bench: Bench, worktree: Path, last: str, configs: Mapping[str, str]) -> None:
    """Put on the bench what is judged, and the rules for it."""
    tree.write(worktree, last, bench.tree)
    bench.config.mkdir()
    for name, text in configs.items():
        (bench.config / name).write_text(text)


def _levels(bench: Bench, demands: Demands, changes: Collection[tree.Change]) -> Iterator[Level]:
    """The gates that are demanded, the quick ones first."""
    policy = demands.policy
    code = [change.path for change in changes if change.is_code and change.mode != tree.GONE]
    first: dict[str, Look] = {}
    if demands.lint and code:
        first["lint"] = partial(linted, bench, demands, code)
    if demands.types and (code or (demands.mypy_names and any(change.is_code for change in changes))):
        first["types"] = partial(typed, bench, demands, code)
    yield 1, first
    second: dict[str, Look] = {}
    if policy.tests:
        second["tests"] = partial(tested, bench, demands)
    if policy.holdout:
        second["held-out cases"] = partial(held_out, bench, policy)
    yield 2, second
    if demands.integration:
        yield 3, {"integration": partial(integrated, bench, demands)}
    if demands.deployment:
        yield 4, {"deployment": partial(deployed, bench, demands)}


async def _asked(level: int, looks: Mapping[str, Look]) -> list[Gate]:
    """The gates of a level, asked at once."""
    found: dict[str, Gate] = {}
    unasked: list[PygentError] = []

    async def ask(name: str, look: Look) -> None:
        began = time.monotonic()
        try:
            why, output = await look()
        except PygentError as error:
            unasked.append(error)
        else:
            took = time.monotonic() - began
            found[name] = Gate(level=level, name=name, green=not why, seconds=took, output=output, why=why)

    async with anyio.create_task_group() as tasks:
        for name, look in looks.items():
            tasks.start_soon(ask, name, look)
    if unasked:
        raise unasked[0]
    return [found[name] for name in looks]
