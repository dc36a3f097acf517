"""The commands of docs/a2a.md do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from a2a_serving import TOKEN, serving
from anyio import to_thread

from pygent_shared.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(which("curl") is None, reason="the commands use curl")]

PAGE = Path(__file__).parents[2] / "docs" / "a2a.md"


def commands() -> list[str]:
    """The first block of commands, line by line."""
    block = re.search(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block[1].splitlines()


async def test_the_commands_find_an_agent_and_ask_it(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings) as served:
        await served.deploy("gauges", ["Idris Penrose repairs them."], tmp_path)
        environ = {**os.environ, "URL": served.url, "TOKEN": TOKEN, "no_proxy": "127.0.0.1"}
        run = partial(subprocess.run, shell=True, capture_output=True, env=environ, timeout=60, check=True)
        answers: list[Any] = [
            json.loads((await to_thread.run_sync(run, command)).stdout) for command in commands()
        ]
    index, card, sent, listed = answers
    assert index["agents"][0]["name"] == card["name"] == "gauges"
    assert sent["task"]["artifacts"][0]["parts"] == [{"text": "Idris Penrose repairs them."}]
    assert [task["id"] for task in listed["tasks"]] == [sent["task"]["id"]]
