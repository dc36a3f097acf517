"""Orchestration behind the registry: over real servers and agents, by its docs, and by workers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from pygent_shared.settings import Settings
from pygent_shared.shipped import shipped

from .conftest import Fronted

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parent.parent.parent / "docs" / "orchestration.md"
PATIENCE = 60


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def test_the_workflow_of_the_docs_is_carried_out_as_they_say(fronted: Fronted) -> None:
    docs = DOCS.read_text(encoding="utf-8")
    *calls, ending = re.findall(r"^\{.*\}$", docs, re.MULTILINE)
    (text,) = re.findall(r"^```toml\n(.*?)^```", docs, re.MULTILINE | re.DOTALL)
    known = {"DEMO": str(shipped("demo")), "TEXT": text, "ID": ""}
    servers = {name: {"server": name} for name in ("rag", "memory", "orchestration")}
    async with fronted(servers) as client:
        for line in calls:
            for name, value in known.items():
                line = line.replace(f'"{name}"', json.dumps(value))
            asked = json.loads(line)
            answer = await call(client, asked["tool"], **asked["arguments"])
            if asked["tool"].endswith("start_workflow"):
                known["ID"] = answer["workflow"]
                assert answer["next"].startswith("It waits for an approval: Keep ")
        found = await call(client, "memory__memory_search", query="Merle Sound")
    assert {key: answer[key] for key in json.loads(ending)} == json.loads(ending)
    assert "Merle Sound" in found["results"][0]["text"]


async def test_an_agent_of_the_factory_is_a_step_and_outlasts_a_restart(
    fronted: Fronted, tmp_path: Path
) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps(["The tide turns at six."]))
    text = """
        [steps.ask]
        agent = "{{ inputs.agent }}"
        task = "When does the tide turn?"
        [steps.told]
        condition = "lower(steps.ask)"
        [inputs.agent]
        """
    servers = {"factory": {"server": "factory"}, "orchestration": {"server": "orchestration"}}
    async with fronted(servers) as client:
        for name, model in {"scripted": f"scripted:{script}", "mine": "host"}.items():
            asked = {"name": name, "model": model, "tools": ["factory__agent_types"]}
            await call(client, "factory__create_agent", **asked)
            await call(client, "factory__deploy_agent", name=name)
        await call(client, "orchestration__define_workflow", name="w", definition=text)
        asked = {"name": "w", "inputs": {"agent": "scripted"}, "wait_s": PATIENCE}
        done = await call(client, "orchestration__start_workflow", **asked)
        assert done["state"] == "done", done["error"]
        assert done["value"] == "the tide turns at six."
        assert done["usage"]["requests"] == 1
        asked = {"name": "w", "inputs": {"agent": "mine"}, "wait_s": 0}
        waits = await call(client, "orchestration__start_workflow", **asked)
        with anyio.fail_after(PATIENCE):
            while waits["steps"][0].get("waits_for") != "run":
                waits = await call(client, "orchestration__workflow_status", workflow=waits["workflow"])
    async with fronted(servers) as client:
        run = re.findall(r'get_run\(run="(\w+)"\)', waits["steps"][0]["waits"])[0]
        found = await call(client, "factory__get_run", run=run, wait_s=PATIENCE)
        assert found["state"] == "needs_completion"
        await call(client, "factory__continue_run", run=run, reply="At SIX.")
        asked = {"workflow": waits["workflow"], "wait_s": PATIENCE}
        done = await call(client, "orchestration__wait_for_workflow", **asked)
        assert (done["state"], done["value"]) == ("done", "at six.")
        listed = await call(client, "factory__list_runs", agent="mine")
        assert len(listed["runs"]) == 1


async def test_a_worker_carries_out_what_another_process_begins(fronted: Fronted, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", embedder="none", workflow_workers=0)
    servers = {"factory": {"server": "factory"}, "orchestration": {"server": "orchestration"}}
    config = tmp_path / "pygent.json"
    config.write_text(json.dumps({"mcpServers": servers}))
    text = '[steps.a]\ntool = "factory__agent_types"\n[steps.b]\ncondition = "len(steps.a.types) > 0"\n'
    command = [sys.executable, "-m", "pygent_registry.cli", "worker", "--config", str(config)]
    environ = os.environ | {"PYGENT_DATA_DIR": str(settings.data_dir), "PYGENT_EMBEDDER": "none"}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            async with fronted(servers, settings=settings) as client:
                await call(client, "orchestration__define_workflow", name="w", definition=text)
                asked = {"name": "w", "wait_s": PATIENCE}
                done = await call(client, "orchestration__start_workflow", **asked)
                assert (done["state"], done["value"]) == ("done", True)
            process.send_signal(signal.SIGTERM)
            told = process.communicate(timeout=PATIENCE)[1]
        finally:
            process.kill()
    assert process.returncode == 0
    assert told.startswith("At work on the queue of orchestration: ")


async def test_a_worker_without_the_orchestration_server_says_what_to_add(tmp_path: Path) -> None:
    config = tmp_path / "pygent.json"
    config.write_text(json.dumps({"mcpServers": {"rag": {"server": "rag"}}}))
    command = [sys.executable, "-m", "pygent_registry.cli", "worker", "--config", str(config)]
    told = await anyio.run_process(command, check=False)
    assert told.returncode == 2
    assert 'Add it under "mcpServers": "orchestration": {"server": "orchestration"}' in told.stderr.decode()
