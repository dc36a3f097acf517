"""Long churn leaves nothing behind and loses nothing: `pytest -m soak tests/registry/test_soak.py`.

Runs 24 minutes; SOAK_MINUTES makes it shorter or longer, SOAK_SEED another one. It prints
what the registry held, every ten seconds and at the end. See `soak_churn.py` for what happens to it, and
`soak_watch.py` for what is measured.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from .soak_churn import CALL_TIMEOUT, MEMORY, MODES, SAYING, START_TIMEOUT, TOKEN, Churn, Tally
from .soak_watch import HEAD, Reading, Up, running_with, up

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

MINUTES = float(os.environ.get("SOAK_MINUTES", "24"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
BETWEEN_READINGS = 10.0
SESSION_SECONDS = 10.0
"""After so long without a request the session of a host that left without a word ends."""
QUIET_SECONDS = 90.0
"""How long it is given to come to rest: the longest delay before a restart, and the sessions' end."""
STILL_SECONDS = 25.0
"""What has not changed for so long is at rest: longer than a session without requests lives."""

MOST_MORE_FDS = 2
MOST_MB_PER_10_MINUTES = 2.0
MOST_GROWTH = 0.10
"""Of memory, by the least-squares line: of the last half of the run, when all has been used that fills up (a
leak goes on), and as a share over the last two thirds."""
LEAST_MINUTES = 20
"""Shorter runs are not judged by memory: buffers and caches fill up for ten minutes."""
LEAST_RIGHT = 0.5
"""The share of calls that must succeed, or the churn has tested refusals only."""


async def test_churn_loses_no_answer_and_leaks_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "pygent.json"
    options = ["--config", str(config), "--data-dir", str(tmp_path / "data"), "--port", "0"]
    options += ["--embedder", "none", "--tools", "all", "--call-timeout", str(CALL_TIMEOUT)]
    options += ["--start-timeout", str(START_TIMEOUT), "--session-idle-timeout", str(SESSION_SECONDS)]
    log, churn = tmp_path / "log", Churn(config, SEED)
    async with churn.web():
        with up(options, {"PYGENT_TOKEN": TOKEN}, log) as churn.up:
            before = await warmed_up(churn)
            readings = await watched(churn, MINUTES * 60, capsys)
            churn.calm()
            after = await at_rest(churn, before)
            tally, churn.tally = churn.tally, Tally()
            for mode in MODES:
                await every_server_answers(churn, mode)
            rested = await at_rest(churn, before)
    with capsys.disabled():
        print(report(tally, before, readings, after, rested))
    assert tally.wrong == []
    assert churn.tally.wrong == []
    assert not churn.tally.refused
    assert sum(tally.right.values()) > LEAST_RIGHT * len(tally.seconds)
    for reading in (after, rested):
        assert reading.tasks <= before.tasks, more_tasks(reading, before)
        assert reading.children <= before.children
        assert reading.fds <= before.fds + MOST_MORE_FDS
    if MINUTES >= LEAST_MINUTES:
        assert slope(last(1 / 2, readings)) * 600 < MOST_MB_PER_10_MINUTES
        assert growth(readings) < MOST_GROWTH
    assert churn.up.process.returncode == 0
    assert churn.up.survivors() == []
    assert running_with(f"{churn.word} ") == []
    assert unforeseen(log) == []


async def warmed_up(churn: Churn) -> Reading:
    """What the registry holds at rest, once everything was used that is opened at its first use."""
    await all_ready(churn.up)
    for mode in MODES:
        await every_server_answers(churn, mode)
        await churn.leave_abruptly(mode)
        await churn.visit(mode)
    assert churn.tally.wrong == []
    return await at_rest(churn)


async def every_server_answers(churn: Churn, mode: str) -> None:
    async with churn.host(mode) as client:
        for server in (*SAYING, MEMORY):
            await churn.call(client, server)


async def watched(churn: Churn, seconds: float, capsys: pytest.CaptureFixture[str]) -> list[Reading]:
    """The readings taken during the churn."""
    readings: list[Reading] = []

    async def read() -> None:
        with capsys.disabled():
            print(f"\n{HEAD}", flush=True)
            while True:
                readings.append(await anyio.to_thread.run_sync(churn.up.reading))
                print(readings[-1].row(), flush=True)
                await anyio.sleep(BETWEEN_READINGS)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await churn.run(seconds)
        tasks.cancel_scope.cancel()
    return readings


async def at_rest(churn: Churn, wanted: Reading | None = None) -> Reading:
    """The first reading that holds no more than was wanted, else the one that did not change any more."""
    await all_ready(churn.up)
    reading = await anyio.to_thread.run_sync(churn.up.reading)
    deadline, since = time.monotonic() + QUIET_SECONDS, time.monotonic()
    while time.monotonic() < min(deadline, since + STILL_SECONDS):
        if wanted and not_more(reading, wanted):
            break
        await anyio.sleep(1)
        before, reading = reading, await anyio.to_thread.run_sync(churn.up.reading)
        if held(reading) != held(before):
            since = time.monotonic()
    return reading


def held(reading: Reading) -> tuple[int, int, int]:
    return reading.tasks, reading.children, reading.fds


def not_more(reading: Reading, wanted: Reading) -> bool:
    return all(has <= had for has, had in zip(held(reading), held(wanted), strict=True))


async def all_ready(running: Up) -> None:
    """Every server is up, and no other is there."""
    with anyio.move_on_after(QUIET_SECONDS):
        while True:
            states = await anyio.to_thread.run_sync(running.states)
            if set(states) == {*SAYING, MEMORY} and set(states.values()) == {"ready"}:
                return
            await anyio.sleep(0.5)
    pytest.fail(f"not all of them came back within {QUIET_SECONDS:g} s: {states}")


def last(share: float, readings: Sequence[Reading]) -> Sequence[Reading]:
    return readings[int(len(readings) * (1 - share)) :]


def slope(readings: Sequence[Reading]) -> float:
    """Megabytes a second, by the least-squares line."""
    middle = sum(reading.at for reading in readings) / len(readings)
    spread = sum((reading.at - middle) ** 2 for reading in readings)
    return sum((reading.at - middle) * reading.rss for reading in readings) / spread if spread else 0.0


def growth(readings: Sequence[Reading]) -> float:
    """By the line through the last two thirds, as a share of what was held at their beginning."""
    kept = last(2 / 3, readings)
    return slope(kept) * (kept[-1].at - kept[0].at) / kept[0].rss


def more_tasks(reading: Reading, before: Reading) -> dict[str, int]:
    counted = Counter(reading.task_kinds)
    counted.subtract(before.task_kinds)
    return {kind: number for kind, number in counted.items() if number}


def unforeseen(log: Path) -> list[str]:
    """The tracebacks that were logged. Not those of the SDK's HTTP server, whose host left while it wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    noted = [line for line in lines if line.startswith("Traceback")]
    foreign = ("mcp.server.streamable_http", "uvicorn.error")
    return noted + [
        f"{record['logger']}: {record['message']} {record['traceback']}"
        for record in records
        if "traceback" in record and record["logger"] not in foreign
    ]


def report(
    tally: Tally, before: Reading, readings: Sequence[Reading], after: Reading, rested: Reading
) -> str:
    lines = [
        f"\nseed {SEED}, {MINUTES:g} minutes",
        f"calls right {sum(tally.right.values())} {dict(tally.right)}",
        f"calls refused by name {sum(tally.refused.values())} {dict(tally.refused)}",
        f"cancelled {tally.cancelled}, abandoned {tally.abandoned}, WRONG {len(tally.wrong)}",
        f"seconds a call: p50 {tally.worst(0.5):.3f}, p99 {tally.worst(0.99):.2f}, most {tally.worst(1):.2f}",
        f"events {dict(tally.did)}",
        *(f"  {number} x {said}" for said, number in tally.refusals.most_common(12)),
        HEAD,
        f"{before.row()}  before",
        f"{readings[-1].row()}  last of the churn",
        f"{after.row()}  at rest",
        f"{rested.row()}  at rest, after every server was called once more",
        f"tasks more than before: {more_tasks(rested, before)}",
        f"memory: {slope(last(1 / 2, readings)) * 600:+.2f} MB in 10 minutes of the last half, "
        f"{growth(readings):+.1%} in the last two thirds",
    ]
    wrong = Counter(said[:200] for said in tally.wrong)
    return "\n".join([*lines, *(f"WRONG {number} x {said}" for said, number in wrong.most_common(20))])
