"""Features behind the registry: by their docs, over real servers and agents whose models are scripted."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_orchestration.features.prp import parse, render
from pygent_shared.sandbox.run import missing

from .conftest import Fronted

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parent.parent.parent / "docs" / "features.md"
SHAPES = "def perimeter(width: int, height: int) -> int:\n    return 2 * (width + height)\n"
RIGHT = "\n\ndef area(width: int, height: int) -> int:\n    return width * height\n"
WRONG = RIGHT.replace("*", "+")
TEST = "from shapes import area\n\n\ndef test_area():\n    assert area(3, 4) == 12\n"


def uses(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": f"workspace__{name}", "arguments": arguments}]}


PLAN = {"summary": "Areas.", "tasks": [{"id": "area", "goal": "area() is right.", "paths": ["shapes.py"]}]}
SCRIPTS = {
    "planner": [uses("read", path="shapes.py"), f"```json\n{json.dumps(PLAN)}\n```"],
    "coder": {
        "was not accepted": [
            uses("edit", path="shapes.py", old="return width + height", new="return width * height"),
            "Now it does.",
        ],
        "area": [uses("write", path="shapes.py", text=SHAPES + WRONG), "It gives the area."],
    },
    "reviewer": [uses("read", path="shapes.py"), '{"approved": true, "summary": "It multiplies."}'],
}


def repository(folder: Path, files: dict[str, str]) -> Path:
    """A repository with one commit, on the branch main."""
    made(folder, files)
    who = ("-c", "user.name=T", "-c", "user.email=t@localhost")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "Begin")):
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
    return folder


def made(folder: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def scripted(folder: Path, name: str) -> str:
    """The model of an agent."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(SCRIPTS[name]))
    return f"scripted:{path}"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.skipif(bool(missing()), reason=str(missing()))
async def test_the_feature_of_the_docs_is_built_as_they_say(fronted: Fronted, tmp_path: Path) -> None:
    docs = DOCS.read_text(encoding="utf-8")
    *calls, ending = re.findall(r"^\{.*\}$", docs, re.MULTILINE)
    place = repository(tmp_path / "repository", {"shapes.py": SHAPES})
    tests = made(tmp_path / "trusted", {"test_shapes.py": TEST})
    known = {"REPO": str(place), "TESTS": str(tests), "ID": ""}
    names = ("factory", "memory", "rag", "orchestration")
    async with fronted({name: {"server": name} for name in names}) as client:
        await call(client, "rag__ingest", text="Areas are of whole numbers.", title="Areas")
        for line in calls:
            for name, value in known.items():
                line = line.replace(f'"{name}"', json.dumps(value))
            asked = json.loads(line)
            if asked["tool"].endswith("create_agent"):
                asked["arguments"]["model"] = scripted(tmp_path, asked["arguments"]["name"])
            answer = await call(client, asked["tool"], **asked["arguments"])
            if asked["tool"].endswith("submit_feature"):
                known["ID"] = answer["feature"]
        assert {key: answer[key] for key in json.loads(ending)} == json.loads(ending)
        found = await call(client, "orchestration__get_context_for_task", task="The area of whole numbers")
    assert (place / "shapes.py").read_text() == SHAPES + RIGHT
    assert answer["tasks"][0]["attempts"] == 2
    kinds = {source["kind"]: source["text"] for source in found["sources"]}
    assert "area() is right." in kinds["pattern"]
    assert "Areas are of whole numbers." in kinds["document"]
    assert found["missing"] == []


def test_the_prp_of_the_docs_is_one() -> None:
    (text,) = re.findall(
        r"^```markdown\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert render(parse(text)) == text
