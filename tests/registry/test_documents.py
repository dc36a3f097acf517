"""The server of documents behind the registry: what its hits link to is read there too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.types import TextResourceContents

from pygent_shared.testing import call


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_hit_links_to_its_section_through_the_registry(
    fronted: Any, everything: dict[str, Any], tmp_path: Path, mode: str
) -> None:
    (tmp_path / "tide notes.md").write_text(
        "# Tides\n\n## Gull Rock\n\nThe lamp.\n\n## Quay\n\nA quiet year.\n"
    )
    async with fronted({"other": everything, "docs": {"server": "rag"}}, mode=mode) as client:
        await call(client, "docs__ingest", path=str(tmp_path))
        found, _ = await call(client, "docs__search", question="quiet")
        (read,) = (await client.read_resource(found["passages"][0]["resource"])).contents
        assert isinstance(read, TextResourceContents)
        assert read.text == "## Quay\n\nA quiet year."
