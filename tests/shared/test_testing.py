from __future__ import annotations

from array import array
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.settings import Settings
from pygent_shared.testing import Connect, ScriptedEmbedder

pytestmark = pytest.mark.anyio


async def test_connect_runs_a_test_over_each_transport_in_each_era(
    connect: Connect, third_party: Path, request: pytest.FixtureRequest
) -> None:
    async with connect("third_party") as client:
        era = client.protocol_version
        result: Any = await client.call_tool("greet", {"name": "Ada"})

    assert request.node.callspec.id.endswith(era[:4])
    assert era in ("2025-11-25", "2026-07-28")
    assert result.content[0].text == "hello Ada"


async def test_connect_ends_the_server_properly(
    connect: Connect, third_party: Path, settings: Settings
) -> None:
    async with connect("third_party") as client:
        assert {tool.name for tool in (await client.list_tools()).tools} >= {"greet", "refuse"}

    assert (settings.data_dir / "life").read_text() == "begun ended "


def test_the_settings_of_a_test_keep_to_its_folder_and_load_no_model(
    settings: Settings, tmp_path: Path
) -> None:
    assert settings.data_dir.is_relative_to(tmp_path)
    assert settings.embedder == "none"


def test_the_scripted_embedder_puts_texts_of_one_meaning_together() -> None:
    embedder = ScriptedEmbedder({"cat": 0, "kitten": 0, "ship": 1})
    vectors = [
        array("f", vector) for vector in embedder.embed(["A cat.", "the Kitten", "ship", "of nothing"])
    ]

    def cosine(left: int, right: int) -> float:
        return sum(a * b for a, b in zip(vectors[left], vectors[right], strict=True))

    assert [sqrt(cosine(number, number)) for number in range(4)] == pytest.approx([1] * 4)
    assert cosine(0, 1) == pytest.approx(1)
    assert cosine(0, 2) == pytest.approx(0)
    assert embedder.embed(["A cat."]) == embedder.embed(["A cat."])
