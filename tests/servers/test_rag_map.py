"""The map of a collection: groups by meaning or by place, and their labels; and the prompt to cite."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from pygent_rag import clusters as grouping
from pygent_rag import overview as reading
from pygent_rag.clusters import clusters
from pygent_rag.ingest import unwatched
from pygent_rag.labels import Words, labels
from pygent_rag.library import Library, open_library
from pygent_rag.overview import overview
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import Connect, ScriptedEmbedder, call, in_memory, refusal

RAG = "pygent_rag"
SEA, MONEY, BIRD = 1, 2, 3
MEANINGS = {"tide": SEA, "surge": SEA, "wages": MONEY, "salary": MONEY, "gull": BIRD, "tern": BIRD}


def go_on() -> None:
    pass


def subjects(count: int, each: int, dimensions: int = 32) -> np.ndarray:
    """`each` unit vectors around each of so many centres, one subject after another."""
    random = np.random.default_rng(3)
    centres = np.linalg.qr(random.standard_normal((dimensions, count)))[0].T
    found = np.repeat(centres, each, axis=0) + 0.08 * random.standard_normal((count * each, dimensions))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype("<f4")


@pytest.mark.parametrize("whole", [grouping.WHOLE, 0])
def test_vectors_of_one_subject_come_into_one_group(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in every round, or in batches."""
    monkeypatch.setattr(grouping, "WHOLE", whole)
    found = clusters(subjects(5, 60), 5, go_on)

    assert sorted(sorted(cluster.members.tolist()) for cluster in found) == [
        list(range(start, start + 60)) for start in range(0, 300, 60)
    ]


def test_the_number_of_groups_is_found_and_the_same_each_time() -> None:
    vectors = subjects(7, 40)
    first, second = (clusters(vectors, 0, go_on) for _ in range(2))

    assert len(first) == 7
    assert [a.members.tolist() for a in first] == [b.members.tolist() for b in second]


def test_the_most_typical_member_comes_first() -> None:
    vectors = subjects(1, 50)
    (cluster,) = clusters(vectors, 1, go_on)
    likeness = vectors @ vectors.mean(axis=0)

    assert cluster.members[0] == likeness.argmax()


@effort(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10), st.booleans())
def test_every_vector_is_in_one_group_however_few_or_alike_they_are(
    size: int, count: int, alike: bool
) -> None:
    vectors = np.random.default_rng(size).standard_normal((size, 8)).astype("<f4")
    vectors = np.repeat(vectors[:1], size, axis=0) if alike else vectors
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = clusters(vectors, count, go_on)

    assert sorted(np.concatenate([cluster.members for cluster in found]).tolist()) == list(range(size))
    assert len(found) <= (count or 24)


def test_a_label_holds_what_a_group_has_and_others_lack() -> None:
    sea, pay = Words(), Words()
    sea.add(["The tide report: tides and surges.", "A tide of 5 metres, a report."])
    pay.add(["The wages report: wages, a salary, a report."])

    assert [label[0] for label in labels([sea, pay])] == ["tide", "wages"]
    assert "report" not in [label[0] for label in labels([sea, pay])]
    assert labels([Words()]) == [[]]


def filled(settings: Settings, folder: Path, embedder: BackgroundEmbedder | None) -> Library:
    library = (
        Library(SqliteStore(settings.data_dir / "rag.db"), embedder, settings)
        if embedder
        else open_library(settings)
    )
    folder.mkdir()
    texts = {
        "sea": "The tide rose with a surge.",
        "pay": "The wages and the salary rose.",
        "birds": "A gull and a tern sat there.",
    }
    for name, text in texts.items():
        for number in range(6):
            (folder / f"{name}{number}.md").write_text(f"{text} Day {number}.\n")
    assert list(library.ingest("notes", str(folder), unwatched))
    return library


def test_passages_are_grouped_by_meaning_with_labels_of_their_own_words(
    settings: Settings, tmp_path: Path
) -> None:
    library = filled(settings, tmp_path / "docs", BackgroundEmbedder.loaded(ScriptedEmbedder(MEANINGS)))
    library.search("tide", "", 1, 500, 30)
    found = overview(library, "notes", 3, 2, unwatched)
    library.close()

    assert (found.grouped_by, found.why, found.passages) == ("meaning", "", 18)
    assert [(group.size, group.documents) for group in found.groups] == [(6, 6)] * 3
    assert sorted(sorted(group.label[:2]) for group in found.groups) == [
        ["gull", "sat"],
        ["salary", "wages"],
        ["surge", "tide"],
    ]
    for group in found.groups:
        assert len({passage.path for passage in group.examples}) == 2


def test_passages_without_a_vector_are_counted(settings: Settings, tmp_path: Path) -> None:
    lexical = filled(settings, tmp_path / "docs", None)
    lexical.close()
    embedder = BackgroundEmbedder.loaded(ScriptedEmbedder(MEANINGS))
    library = Library(SqliteStore(settings.data_dir / "rag.db"), embedder, settings)
    ids = library.store.members(library.collection("notes").id)
    (vector,) = ScriptedEmbedder(MEANINGS).embed(["tide"])
    library.store.vectors.put("scripted", [(id, vector) for id in ids[:10]])
    found = overview(library, "notes", 0, 1, unwatched)
    library.close()

    assert found.why == "8 passages have no vector yet"
    assert sum(group.size for group in found.groups) == 10


def test_a_large_collection_is_sampled_and_says_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_READ", 5)
    library = filled(settings, tmp_path / "docs", None)
    found = overview(library, "notes", 0, 0, unwatched)
    library.close()

    assert (found.every, found.passages, sum(group.size for group in found.groups)) == (4, 18, 5)


@pytest.mark.anyio
async def test_without_vectors_it_groups_by_place_and_says_so(connect: Connect, tmp_path: Path) -> None:
    for name in ("sea", "pay"):
        (tmp_path / name).mkdir()
        for number in range(15 if name == "sea" else 10):
            (tmp_path / name / f"{number}.md").write_text(f"Notes on the {name}. Day {number}.\n")
    async with connect(RAG) as client:
        assert 'There is no collection "default"' in await refusal(client, "collection_map")
        await call(client, "ingest", path=str(tmp_path / "sea"))
        await call(client, "ingest", path=str(tmp_path / "pay"))
        data, text = await call(client, "collection_map", examples=1)

    assert (data["grouped_by"], data["why"]) == ("folder", "PYGENT_EMBEDDER is none")
    assert [(group["name"], group["passages"]) for group in data["groups"]] == [
        (f"{tmp_path}/sea", 15),
        (f"{tmp_path}/pay", 10),
    ]
    assert data["groups"][0]["examples"][0]["citation"] == f"{tmp_path}/sea/0.md:1"
    assert text.startswith(
        '"default": 25 passages in 2 groups by folder (PYGENT_EMBEDDER is none). Lines after'
    )
    assert f"1. {tmp_path}/sea, 15 passages of 15 documents\n> sea" in text
    assert f"  {tmp_path}/sea/0.md:1\n> Notes on the sea." in text


def test_it_says_how_far_it_is_and_ends_when_told_to(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", 3)
    library = filled(settings, tmp_path / "docs", None)
    seen: list[int] = []

    def watch(done: int, total: int, what: str) -> None:
        assert total == 36
        seen.append(done)
        if done >= 9 and stops:
            raise KeyboardInterrupt

    stops = True
    with pytest.raises(KeyboardInterrupt):
        overview(library, "notes", 0, 1, watch)
    assert seen == [0, 3, 6, 9]
    stops = False
    seen.clear()
    overview(library, "notes", 0, 1, watch)
    library.close()
    assert seen == sorted(seen)


@pytest.mark.anyio
async def test_a_caller_hears_of_its_progress(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "day.md").write_text("The tide rose.\n")
    seen: list[tuple[float, float | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, total))

    async with in_memory(RAG, settings) as client:
        await call(client, "ingest", path=str(tmp_path))
        await client.call_tool("collection_map", {}, progress_callback=progress)
        with anyio.fail_after(10):
            while not seen:
                await anyio.lowlevel.checkpoint()
    assert seen[0] == (0, 2)


@pytest.mark.anyio
async def test_the_prompt_teaches_to_cite(connect: Connect) -> None:
    async with connect(RAG) as client:
        prompt = await client.get_prompt(
            "answer_with_citations", {"question": "Who {is} it?", "collection": "notes"}
        )
    text = prompt.messages[0].content.text  # type: ignore[union-attr]
    assert text.startswith(
        'Answer this question from my documents in the collection "notes":\n\nWho {is} it?'
    )
    assert "copied exactly as given" in text
