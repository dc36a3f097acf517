"""What came of earlier tasks: kept in a space of the memory server, and looked up for the next one like them.

Without a memory server nothing is kept, and the outcome says so.
"""

from __future__ import annotations

import re

from pygent_orchestration.actions import Actions, Red
from pygent_orchestration.coding.work import Done, Work
from pygent_shared.errors import PygentError

SPACE = "coding"
TAG = "outcome"
MOST = 3
MOST_TEXT = 1500
MOST_WHY = 400
MOST_GOAL = 300
_ADD = "memory__memory_add"
_SEARCH = "memory__memory_search"
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_HEADING = re.compile(r"^#+ .*$", re.MULTILINE)


def told(work: Work, done: Done) -> str:
    """An outcome as a memory: understood alone, with what stood in the way."""
    goal = goal_of(work.prp)
    failed = [attempt.failure.why for attempt in done.attempts if attempt.failure]
    lines = [f"- {' '.join(why.split())[:MOST_WHY]}" for why in failed]
    if done.state == "green":
        head = f"Task {work.task} was done by {work.coder} in {len(done.attempts)} attempt(s): {goal}"
        return _cut(head, ["What stood in the way:", *lines] if lines else [])
    assert done.failure is not None
    why = " ".join(done.failure.why.split())[:MOST_WHY]
    head = f"Task {work.task} failed with {work.coder} after {len(done.attempts)} attempt(s): {goal}"
    return _cut(head, [f"Why ({done.failure.kind}): {why}", *lines])


def goal_of(prp: str) -> str:
    """What a task is about: the first section that says something, without its heading."""
    body = _FRONT.sub("", prp.strip())
    sections = (" ".join(section.split()) for section in _HEADING.split(body))
    return next(filter(None, sections), "")[:MOST_GOAL]


async def keep(actions: Actions, work: Work, done: Done) -> str:
    """Keep an outcome; returns why it was not, or "" where it was."""
    tags = [TAG, "good" if done.state == "green" else "bad"]
    kept = {"text": told(work, done), "kind": "procedural", "tags": tags, "space": SPACE}
    try:
        await actions.tool(_ADD, kept)
    except (Red, PygentError) as error:
        return f"The outcome is not kept in memory: {error}"
    return ""


async def found(actions: Actions, prp: str) -> list[str]:
    """What came of tasks like one; nothing where no memory can be searched, which `keep` will tell."""
    asked = {"query": goal_of(prp) or prp[:300], "tags": [TAG], "limit": MOST, "space": SPACE}
    try:
        answer = await actions.tool(_SEARCH, asked)
    except (Red, PygentError):
        return []
    results = answer.get("results", []) if isinstance(answer, dict) else []
    return [str(item["text"]) for item in results]


def _cut(head: str, lines: list[str]) -> str:
    return "\n".join([head, *lines])[:MOST_TEXT]
