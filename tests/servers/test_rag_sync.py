"""A collection follows its sources, and what did not change is not embedded again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygent_rag.ingest import unwatched
from pygent_rag.library import Library
from pygent_rag.store import SqliteStore
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder

TIDES = "# Tides\n\nThe first paragraph is about mud.\n\n## Gauges\n\nThe second is about gauges.\n"


class Counting(ScriptedEmbedder):
    """Keeps what it was asked to embed."""

    def __init__(self, model: str = "scripted") -> None:
        super().__init__({"mud": 0, "gauges": 1, "gulls": 2})
        self.model = model
        self.texts: list[str] = []

    def embed(self, texts: Any) -> list[bytes]:
        self.texts += texts
        return super().embed(texts)

    def since(self) -> list[str]:
        """What was embedded since the last call."""
        texts, self.texts = self.texts, []
        return texts


@pytest.fixture
def embedder() -> Counting:
    return Counting()


@pytest.fixture
def library(settings: Settings, embedder: Counting) -> Iterator[Library]:
    opened = opened_with(settings, embedder)
    yield opened
    opened.close()


def opened_with(settings: Settings, embedder: Counting) -> Library:
    store = SqliteStore(settings.data_dir / "rag.db")
    return Library(store, BackgroundEmbedder.loaded(embedder), settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    (made / "tides.md").write_text(TIDES)
    return made


def took_in(library: Library, path: Path, collection: str = "notes") -> dict[str, str]:
    """The outcome for each file, when all has its vector."""
    found = {
        Path(report.path).name: report.outcome for report in library.ingest(collection, str(path), unwatched)
    }
    assert library.settle(30)
    return found


def test_an_unchanged_file_is_embedded_once(library: Library, embedder: Counting, folder: Path) -> None:
    took_in(library, folder)
    assert len(embedder.since()) == 2
    assert took_in(library, folder) == {"tides.md": "unchanged"}
    assert embedder.since() == []


def test_of_a_changed_file_only_the_changed_chunk_is_embedded(
    library: Library, embedder: Counting, folder: Path
) -> None:
    took_in(library, folder)
    embedder.since()
    (folder / "tides.md").write_text(TIDES.replace("mud", "gulls").replace("## Gauges", "\n\n## Gauges"))
    assert took_in(library, folder) == {"tides.md": "updated"}
    assert embedder.since() == ["Tides\n\nThe first paragraph is about gulls."]
    kept = library.search("gauges", "notes", 1, 500, 0).passages[0][0]
    assert (kept.text, kept.first) == ("The second is about gauges.", 9)


@pytest.mark.parametrize("rename", [True, False])
def test_a_renamed_or_copied_file_is_not_embedded_again(
    library: Library, embedder: Counting, folder: Path, rename: bool
) -> None:
    took_in(library, folder)
    embedder.since()
    (shutil.move if rename else shutil.copy)(folder / "tides.md", folder / "ebb.md")
    assert took_in(library, folder)["ebb.md"] == "added"
    assert embedder.since() == []
    found = library.search("gauges", "notes", 5, 500, 0, "semantic").passages
    assert sum(passage.path.endswith("ebb.md") for passage, _ in found) == 2


def test_the_same_text_in_two_collections_is_embedded_once(
    library: Library, embedder: Counting, folder: Path
) -> None:
    took_in(library, folder)
    took_in(library, folder, "others")
    assert len(embedder.since()) == 2
    assert library.search("mud", "others", 1, 500, 0).retrieval == "hybrid"


def test_a_text_that_waits_twice_is_embedded_once(library: Library, embedder: Counting, folder: Path) -> None:
    for number in range(100):
        shutil.copy(folder / "tides.md", folder / f"{number}.md")
    took_in(library, folder)
    assert len(embedder.since()) == 2


def test_a_paragraph_that_stands_twice_keeps_a_row_for_each(
    library: Library, embedder: Counting, tmp_path: Path
) -> None:
    path = tmp_path / "twice.md"
    once, other = "## Same\n\nThe mud.\n\n", "## Other\n\nThe gulls.\n\n"
    path.write_text("# T\n\n" + once + once)
    took_in(library, path)
    path.write_text("# T\n\n" + once + other + once + once)
    took_in(library, path)
    assert isinstance(library.store, SqliteStore)
    rows = library.store.database.query("SELECT position, text FROM chunk ORDER BY position")
    assert [position for position, _ in rows] == [0, 1, 2, 3]
    assert [text for _, text in rows] == ["The mud.", "The gulls.", "The mud.", "The mud."]
    assert len(embedder.since()) == 2
