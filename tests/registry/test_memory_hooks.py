"""The hooks that `docs/memory.md` gives for Claude Code, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pygent_shared.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "memory.md"


def block(language: str, holding: str) -> str:
    """The code block of the docs that holds a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.S | re.M)
    (found,) = [block for block in blocks if holding in block]
    return str(found)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with the script in its place, and `pygent` and `python3` as this process has them."""
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "remember.py").write_text(block("python", "transcript_path"), encoding="utf-8")
    (tmp_path / "bin").mkdir()
    for name, module in (("python3", ""), ("pygent", "-m pygent_registry.cli")):
        command = tmp_path / "bin" / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        command.chmod(0o755)
    return tmp_path


def fire(event: str, home: Path, settings: Settings, **given: str) -> str:
    """What the commands of a hook print."""
    hooks = json.loads(block("json", '"hooks"'))["hooks"]
    environ = {
        **os.environ,
        **settings.environ(),
        "HOME": str(home),
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYGENT_CONFIG": str(config(home)),
    }
    printed = ""
    for hook in (hook for group in hooks[event] for hook in group["hooks"]):
        done = subprocess.run(
            ["sh", "-c", hook["command"]],
            input=json.dumps({"hook_event_name": event, **given}),
            env=environ,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    return printed


def config(home: Path) -> Path:
    path = home / "pygent.json"
    path.write_text('{"mcpServers": {"memory": {"server": "memory"}}}')
    return path


def said(kind: str, content: object, **more: object) -> dict[str, object]:
    return {"type": kind, "timestamp": "2025-05-01T12:00:00.250Z", "message": {"content": content}, **more}


def write(transcript: Path, lines: Sequence[dict[str, object]]) -> None:
    transcript.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_the_hooks_keep_a_session_once_and_begin_the_next_with_it(home: Path, settings: Settings) -> None:
    transcript = home / "s-1.jsonl"
    lines = [
        {"type": "summary", "summary": "x"},
        said("user", "Ann lives in Lisbon.\nRemember that."),
        said("assistant", [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "I will."}]),
        said("user", [{"type": "tool_result", "content": "secret output"}]),
        said("user", "not said by the person", isMeta=True),
    ]
    write(transcript, lines)
    given = {"session_id": "s-1", "transcript_path": str(transcript)}
    assert fire("SessionEnd", home, settings, **given) == ""
    assert '"s-1" · 2025-05-01 · 2 turns' in fire("SessionStart", home, settings)
    write(transcript, [*lines, said("user", "One more thing.")])
    fire("SessionEnd", home, settings, **given)
    fire("SessionEnd", home, settings, **given)
    assert '"s-1" · 2025-05-01 · 3 turns' in fire("SessionStart", home, settings)
