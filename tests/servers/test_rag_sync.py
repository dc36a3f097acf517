"""A collection follows its sources, and what did not change is not embedded again."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pygent_rag.ingest import unwatched
from pygent_rag.library import Library
from pygent_rag.sources import given
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.errors import FileRefused, InvalidArgument, MissingExtra, SearchIsLexical
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
    assert library.pending([library.collection("notes").id]) == 0


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


def synced(library: Library) -> dict[str, str]:
    return {Path(report.path).name: report.outcome for report in library.sync("notes", unwatched)}


def test_sync_makes_a_collection_equal_to_all_its_sources(
    library: Library, folder: Path, tmp_path: Path
) -> None:
    single = tmp_path / "single.md"
    single.write_text("Alone.\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.md").write_text("A.\n")
    (tmp_path / "more" / "b.txt").write_text("B.\n")
    took_in(library, folder)
    took_in(library, single)
    took_in(library, tmp_path / "more" / "*.md")
    assert synced(library) == {"tides.md": "unchanged", "single.md": "unchanged", "a.md": "unchanged"}

    (folder / "tides.md").unlink()
    (folder / "new.md").write_text("New.\n")
    (tmp_path / "more" / "c.md").write_text("C.\n")
    single.write_text("Alone again.\n")
    assert synced(library) == {
        "tides.md": "removed",
        "new.md": "added",
        "single.md": "updated",
        "a.md": "unchanged",
        "c.md": "added",
    }
    single.unlink()
    assert synced(library)["single.md"] == "removed"
    assert "single.md" not in synced(library)


def test_a_source_that_cannot_be_read_costs_only_itself_and_loses_nothing(
    library: Library, folder: Path, tmp_path: Path
) -> None:
    took_in(library, folder)
    other = tmp_path / "other.md"
    other.write_text("Other.\n")
    took_in(library, other)
    folder.rename(tmp_path / "away")
    found = {Path(report.path).name: report for report in library.sync("notes", unwatched)}
    assert {name: report.outcome for name, report in found.items()} == {
        "docs": "refused",
        "other.md": "unchanged",
    }
    assert f'delete(collection="notes", path="{folder}")' in found["docs"].why
    assert library.search("mud", "notes", 1, 500, 0).passages

    library.delete("notes", str(folder), dry_run=False)
    assert synced(library) == {"other.md": "unchanged"}


def test_a_collection_without_sources_says_what_to_do(library: Library) -> None:
    list(library.ingest("notes", given("Some text.", "Title"), unwatched))
    with pytest.raises(InvalidArgument, match="remembers no files, folders or pages"):
        synced(library)


def test_a_refused_file_is_not_remembered(library: Library, folder: Path, tmp_path: Path) -> None:
    took_in(library, folder)
    (tmp_path / "bad.md").write_bytes(b"\0")
    with pytest.raises(FileRefused):
        took_in(library, tmp_path / "bad.md")
    assert library.store.sources("notes") == [str(folder)]


def test_the_progress_of_several_sources_never_goes_back(library: Library, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        many = tmp_path / name
        many.mkdir()
        for number in range(3):
            (many / f"{number}.md").write_text("Text.\n")
        took_in(library, many)
    told: list[tuple[int, int]] = []

    def watch(done: int, total: int, path: str) -> None:
        if total:
            told.append((done, total))

    list(library.sync("notes", watch))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (9, 9)


def test_a_cancelled_sync_leaves_whole_documents_and_the_next_one_finishes(
    library: Library, folder: Path
) -> None:
    for number in range(4):
        (folder / f"{number}.md").write_text(f"Note {number}.\n")

    def enough(done: int, total: int, path: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    took_in(library, folder / "tides.md")
    with pytest.raises(KeyboardInterrupt):
        list(library.ingest("notes", str(folder), enough))
    assert Counter(synced(library).values()) == {"unchanged": 3, "added": 2}


def test_followed_files_are_read_when_they_change_until_nobody_follows(
    library: Library, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("watchfiles")
    single = tmp_path / "single.md"
    single.write_text("Alone.\n")
    took_in(library, folder)
    took_in(library, single)
    library.follow("notes")
    assert library.follows("notes")

    def write(path: Path, words: str) -> None:
        # Again and again: the watcher may not have begun yet.
        for number in range(40):
            path.write_text(f"{words} {number}\n")
            if holds_in_time(lambda: bool(library.store.lexical(words, [1], 1)), 1):
                return
        raise AssertionError(f"{path} was not read")

    write(folder / "new.md", "herons")
    write(single, "terns")
    library.leave("notes")
    assert not library.follows("notes")
    (folder / "late.md").write_text("plovers\n")
    assert not holds_in_time(lambda: bool(library.store.lexical("plovers", [1], 1)), 2)
    assert synced(library)["late.md"] == "added"


def holds_in_time(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def test_following_without_its_package_says_what_to_install(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    took_in(library, folder)
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtra, match=r"pygent-factory\[watch\]"):
        library.follow("notes")


def models(library: Library) -> Counter[str]:
    assert isinstance(library.store, SqliteStore)
    return Counter(str(model) for (model,) in library.store.database.query("SELECT model FROM chunk_vector"))


@pytest.fixture
def other(library: Library, settings: Settings, folder: Path) -> Iterator[tuple[Library, Counting]]:
    """The same collection, with vectors of "scripted", met with another model."""
    took_in(library, folder)
    embedder = Counting("another")
    opened = opened_with(settings, embedder)
    yield opened, embedder
    opened.close()


def test_vectors_of_another_model_are_not_compared_and_search_says_so(
    other: tuple[Library, Counting], tmp_path: Path
) -> None:
    library, embedder = other
    assert library.settle(30)
    found = library.search("mud", "notes", 1, 500, 0)
    assert found.retrieval == "lexical"
    assert found.why == (
        'the vectors of "notes" were made by scripted, which is not the model in force; '
        'make new ones: reindex(collection="notes")'
    )
    assert embedder.since() == []
    (tmp_path / "late.md").write_text("Gulls come late.\n")
    took_in(library, tmp_path / "late.md", "fresh")
    found = library.search("gulls", "", 5, 500, 0)
    assert found.retrieval == "hybrid"
    assert "reindex" in found.why
    assert models(library) == {"scripted": 2, "another": 1}


def test_reindexing_gives_all_vectors_of_the_model_in_force(other: tuple[Library, Counting]) -> None:
    library, embedder = other
    assert library.reindex("notes", unwatched) == ("another", 2)
    assert models(library) == {"another": 2}
    found = library.search("mud", "notes", 1, 500, 0)
    assert (found.retrieval, found.why) == ("hybrid", "")
    embedder.since()
    assert library.reindex("notes", unwatched) == ("another", 0)
    assert embedder.since() == []


def test_a_broken_off_reindex_leaves_the_old_vectors_in_force(
    other: tuple[Library, Counting], library: Library
) -> None:
    new, embedder = other

    def enough(done: int, total: int, path: str) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        new.reindex("notes", enough)
    assert models(new) == {"scripted": 2, "another": 2}
    assert library.search("mud", "notes", 1, 500, 0).retrieval == "hybrid"
    assert new.search("mud", "notes", 1, 500, 0).retrieval == "lexical"
    embedder.since()
    assert new.reindex("notes", unwatched) == ("another", 0)
    assert embedder.since() == []
    assert models(new) == {"another": 2}


def test_reindexing_without_a_model_says_why(settings: Settings, library: Library, folder: Path) -> None:
    took_in(library, folder)
    without = Library(SqliteStore(settings.data_dir / "rag.db"), BackgroundEmbedder(settings), settings)
    with pytest.raises(SearchIsLexical, match="PYGENT_EMBEDDER is none"):
        without.reindex("notes", unwatched)
    without.close()
