"""What pytest's report (JUnit's XML) says, read as something that the work may have written itself."""

from __future__ import annotations

import ast
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

MOST = 4 << 20
"""Bytes of a report."""
CANARY = "test_pygent_canary"


def wrong(report: bytes | None, *, secret: str, expected: int | None, least: int) -> str:
    """Why a report is no proof that the tests passed; empty where it is.

    Args:
        report: as it was found; None where there is none.
        secret: the word that the canary was told.
        expected: how many tests there must be.
        least: how many there are at least, where that is not known.
    """
    if report is None:
        return "there is no report: the tests did not run to their end"
    if len(report) > MOST or b"<!DOCTYPE" in report or b"<!ENTITY" in report:
        return "the report is none of pytest's"
    try:
        cases = list(ET.fromstring(report).iter("testcase"))
    except ET.ParseError:
        return "the report cannot be read"
    canaries = [case for case in cases if case.get("name") == CANARY]
    if why := _canary(canaries, secret):
        return why
    told = [case for case in cases if case.get("name") != CANARY]
    bad = [f"{case.get('classname')}::{case.get('name')}" for case in told if _failed(case)]
    if bad:
        return f"{len(bad)} of {len(told)} tests failed: {_some(bad)}"
    skipped = [str(case.get("name")) for case in told if case.find("skipped") is not None]
    if skipped:
        return f"{len(skipped)} tests were skipped: {_some(skipped)}"
    if expected is not None and len(told) != expected:
        return f"{len(told)} tests ran, and there are {expected}"
    if expected is None and len(told) < max(1, least):
        return f"{len(told)} tests ran, and there are {max(1, least)} or more"
    return ""


def _canary(found: list[ET.Element], secret: str) -> str:
    if len(found) != 1 or (failure := found[0].find("failure")) is None:
        return "a test that must fail did not: the report does not say what happened"
    words = (failure.get("message") or "").partition(f"{secret} ")[2].splitlines()
    try:
        replaced = json.loads(words[0]) if words else None
    except ValueError:
        replaced = None
    if not isinstance(replaced, list):
        return "a test that must fail did so for another reason: the report does not say what happened"
    if replaced:
        return f"the work replaces functions that tests rely on: {_some(map(str, replaced))}"
    return ""


def _failed(case: ET.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def _some(names: Iterable[str]) -> str:
    all_of = list(names)
    return ", ".join(all_of[:5]) + (f" and {len(all_of) - 5} more" if len(all_of) > 5 else "")


def least(tests: Path) -> int:
    """How many tests are written in a folder's files, at least; parameter sets are not counted.

    Raises:
        SyntaxError: one of them is no Python.
    """
    files = {*tests.rglob("test_*.py"), *tests.rglob("*_test.py")}
    return sum(_tests(ast.parse(file.read_bytes(), str(file)).body) for file in files)


def _tests(body: list[ast.stmt]) -> int:
    count = 0
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count += node.name.startswith("test")
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            count += _tests(node.body)
    return count
