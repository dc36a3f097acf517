"""What the README says is what the program does."""

from __future__ import annotations

import importlib.util
import json
import re
import resource
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from pygent_registry.config import parse
from pygent_shared.sandbox.run import missing

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", Path(__file__).parent / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="the transcript is of a hybrid search")
def test_the_demo_prints_what_the_readme_shows(readme: ModuleType) -> None:
    assert readme.without_times(readme.part(TEXT, "demo")) == readme.without_times(readme.demo_transcript())


@pytest.mark.skipif(bool(missing()), reason=str(missing()))
def test_the_demo_of_a_workflow_prints_what_its_page_shows_with_half_a_minute_of_work(
    readme: ModuleType,
) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    transcript = readme.workflow_transcript()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    page = readme.WORKFLOW.read_text(encoding="utf-8")
    assert readme.without_times(readme.part(page, "demo")) == readme.without_times(transcript)
    # Of the processors: whatever else this machine does meanwhile does not count.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30


def test_the_tools_are_those_of_the_servers(readme: ModuleType) -> None:
    assert readme.part(TEXT, "tools") == readme.tools_table()


def test_the_settings_are_those_of_the_table(readme: ModuleType) -> None:
    assert readme.part(TEXT, "settings") == readme.settings_table()


def test_the_example_configs_are_understood_whole() -> None:
    examples = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    environ = {"GITHUB_TOKEN": "x", "CRM_SECRET": "x", "AGENT_KEY": "x"}
    servers, agents, roles, auth = [parse(json.loads(example), environ=environ) for example in examples]
    assert not [config.bad for config in (servers, agents, roles, auth) if config.bad]
    assert [entry.kind for entry in servers.entries] == ["in-process", "stdio", "stdio", "http"]
    assert [(entry.name, entry.kind) for entry in agents.entries] == [("researcher", "agent")]
    assert roles.roles["reader"].permits("memory", "memory_get")
    assert auth.entries[0].auth is not None


def test_every_command_and_file_it_names_exists() -> None:
    from pygent_registry.cli import COMMANDS

    assert set(re.findall(r"`pygent ([a-z]+)", TEXT)) <= set(COMMANDS)
    for name in re.findall(r"\]\(([A-Z]+\.md)\)", TEXT):
        assert (ROOT / name).exists()
