"""L1: ruff and mypy, with the rules that the repository had before the work."""

from __future__ import annotations

import atexit
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from anyio.to_thread import run_sync

from pygent_orchestration.coding.gates.bench import Bench
from pygent_orchestration.coding.gates.demands import Demands
from pygent_shared.errors import MissingExtra
from pygent_shared.sandbox.run import Ended

ERRORS_ONLY = ("--select", "E9,F63,F7,F82")
"""What breaks when it is run: of a repository that has not chosen rules of its own."""
_PROBE = """
import abc, argparse, base64, bisect, calendar, collections, collections.abc, contextlib, copy, csv
import dataclasses, datetime, decimal, enum, fractions, functools, hashlib, heapq, io, itertools, json
import logging, math, operator, os, pathlib, random, re, statistics, string
import subprocess, sys, textwrap, time, typing
"""
"""Of Python's own modules, those whose types are worked out once for all checks."""

_warm: dict[tuple[str, str], str] = {}
"""mypy's cache of them, for each config and Python; gone with the process."""
_making: set[tuple[str, str]] = set()


async def linted(bench: Bench, demands: Demands, files: Sequence[str]) -> tuple[str, str]:
    """What is wrong with these files for ruff, empty where nothing is; and what it printed.

    Raises:
        MissingExtra: ruff is not installed.
    """
    _has("ruff", "Checking code with ruff")
    rules = ["--config", str(bench.config / demands.ruff)] if demands.ruff else ["--isolated", *ERRORS_ONLY]
    words = [sys.executable, "-I", "-m", "ruff", "check", "--no-cache", "--output-format", "concise", *rules]
    ended = await bench.ran(
        [*words, "--force-exclude", "--", *files],
        write=bench.place("linted"),
        read=(bench.tree, bench.config),
        cwd=bench.tree,
    )
    return _said(ended, "ruff finds errors"), ended.output


async def typed(bench: Bench, demands: Demands, files: Sequence[str]) -> tuple[str, str]:
    """What is wrong with the types, empty where nothing is; and what mypy printed.

    Args:
        files: looked at where mypy's config does not say what is.

    Raises:
        MissingExtra: mypy is not installed.
    """
    _has("mypy", "Checking types with mypy")
    out, warm = bench.place("typed"), await _warmed(bench, demands)
    if warm:
        await run_sync(partial(shutil.copytree, warm, out, dirs_exist_ok=True))
        bench.given(out)
    sources = bench.tree / demands.policy.sources
    ended = await _mypy(bench, demands, out, bench.tree, [] if demands.mypy_names else files, sources)
    return _said(ended, "mypy finds errors"), ended.output


async def _warmed(bench: Bench, demands: Demands) -> str:
    """The folder of a cache that is fit for this config; empty while another check makes it."""
    rules = (bench.config / demands.mypy).read_text() if demands.mypy else ""
    key = (rules, str(bench.python))
    if key in _making:
        return ""
    if key not in _warm:
        _making.add(key)
        try:
            _warm[key] = await _made(bench, demands)
        finally:
            _making.remove(key)
    return _warm[key]


async def _made(bench: Bench, demands: Demands) -> str:
    """A new cache, of what no work has been near."""
    out, probe = bench.place("warmed"), bench.folder / "probe"
    probe.mkdir()
    (probe / "probe.py").write_text(_PROBE)
    await _mypy(bench, demands, out, probe, ["probe.py"], probe)
    kept = mkdtemp(prefix="pygent-mypy-")
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    await run_sync(partial(shutil.copytree, out, kept, dirs_exist_ok=True))
    return kept


async def _mypy(
    bench: Bench, demands: Demands, out: Path, tree: Path, files: Sequence[str], sources: Path
) -> Ended:
    rules = (
        [f"--config-file={bench.config / demands.mypy}"]
        if demands.mypy
        else ["--config-file=", "--ignore-missing-imports"]
    )
    how = [*rules, f"--cache-dir={out}", "--no-color-output", "--no-pretty", "--show-error-codes"]
    return await bench.ran(
        [sys.executable, "-I", "-m", "mypy", *how, f"--python-executable={bench.python}", "--", *files],
        write=out,
        read=(tree, bench.config),
        cwd=tree,
        environ={"MYPYPATH": str(sources)},
    )


def _has(module: str, purpose: str) -> None:
    if find_spec(module) is None:
        raise MissingExtra(purpose, "gates")


def _said(ended: Ended, why: str) -> str:
    return ended.killed or (why if ended.code else "")
