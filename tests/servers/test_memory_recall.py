"""What memory_search makes of a question: what it weighs, what it leaves out, and what it says of results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from pygent_memory.filters import filtered
from pygent_memory.memories import Memories
from pygent_memory.memory import draft
from pygent_memory.ranking import Asked, asked, rank
from pygent_memory.recall import Found, Place
from pygent_memory.schema import MIGRATIONS
from pygent_memory.times import Span
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.reranking import Load, Reranker, Reranking
from pygent_shared.settings import Settings
from pygent_shared.testing import call, in_memory, refusal

TODAY = date(2025, 6, 1)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with in_memory("pygent_memory", settings) as connected:
        yield connected


async def added(client: Client, text: str, **arguments: Any) -> str:
    data, _ = await call(client, "memory_add", text=text, **arguments)
    return str(data["results"][0]["id"])


async def texts(client: Client, query: str, **wanted: Any) -> list[str]:
    data, _ = await call(client, "memory_search", query=query, **wanted)
    return [result["text"] for result in data["results"]]


# ---- what moves a result


def item(memory: str, score: float, **fields: Any) -> Found:
    place = Place(**{"passage": 1, "memory": memory, "date": "2020-01-01", **fields})
    return Found(score=score, by=("lexical",), place=place)


def order(found: list[Found], asked: Asked) -> list[str]:
    return [item.memory for item in rank(found, asked)]


def test_a_turn_among_others_that_fit_stands_before_one_that_stands_alone() -> None:
    together = [item(f"t{n}", 0.8, conversation=1, turn=n) for n in (1, 2, 3)]
    alone = item("alone", 0.81, conversation=2, turn=1)
    assert order([alone, *together], Asked())[-1] == "alone"


def test_a_conversation_that_went_on_after_a_pause_is_another_sitting() -> None:
    first = [item(f"a{n}", 0.8, conversation=1, turn=n, date="2025-01-01T10:00:00Z") for n in (1, 2, 3)]
    later = item("b", 0.85, conversation=1, turn=9, date="2025-02-01T10:00:00Z")
    assert order([later, *first], Asked())[-1] == "b"
    soon = item("b", 0.85, conversation=1, turn=9, date="2025-01-01T12:00:00Z")
    assert order([soon, *first], Asked())[0] == "b"


def test_what_was_told_in_the_time_asked_for_stands_first() -> None:
    found = [item("then", 0.7, date="2025-03-05"), item("other", 1.0, date="2024-03-05")]
    wanted = asked("What happened in March 2025?", found, TODAY)
    assert order(found, wanted) == ["then", "other"]
    assert order(found, Asked()) == ["other", "then"]


def test_what_the_person_asked_for_said_or_is_said_of_it_counts_a_little() -> None:
    found = [
        item("bo", 1.0, speaker="Bo"),
        item("ann", 0.95, speaker="Ann Lee"),
        item("of", 0.95, entity="Ann Lee"),
    ]
    assert order(found, asked("What does ann like?", found, TODAY)) == ["ann", "of", "bo"]
    assert order(found, asked("What do Ann and Bo like?", found, TODAY))[0] == "bo"


def test_a_new_memory_stands_before_an_equal_old_one_unless_a_time_is_asked_for() -> None:
    found = [item("old", 1.0, date="2025-01-01"), item("new", 1.0, date="2025-05-30")]
    assert order(found, Asked(now=TODAY)) == ["new", "old"]
    assert order(found, Asked()) == ["old", "new"]
    assert asked("since May 2025?", found, TODAY).now is None
    assert asked("anything", found, TODAY, looks_back=True).now is None


def test_a_pinned_memory_does_not_age() -> None:
    found = [item("new", 1.0, date="2025-06-01"), item("pinned", 1.0, date="2000-01-01", pinned=True)]
    assert order(found, Asked(now=TODAY)) == ["pinned", "new"]


def test_reasons_name_what_moved_a_score() -> None:
    (ranked,) = rank(
        [item("m", 0.5, speaker="Ann", date="2025-05-31")],
        Asked(spans=(Span(first=TODAY.replace(month=5), last=TODAY),), person="Ann", now=None),
        explained=True,
    )
    assert ranked.why[0] == "fit 0.50"
    assert {"time asked for x1.5", "Ann x1.1"} <= set(ranked.why)


# ---- a cross-encoder


class Longest:
    """A reranker that likes long texts."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        return [float(len(text)) for text in texts]


def refused(model: str) -> Reranker:
    raise OSError(f"{model} is not a folder")


@pytest.mark.parametrize("load", [lambda model: Longest(), refused])
def test_a_cross_encoder_gives_the_order_and_one_that_cannot_be_had_says_why(
    tmp_path: Path, load: Load
) -> None:
    told = ["The gauge.", "The tide gauge of the northern harbour was mended.", "A gauge and a tide."]
    database, nothing = (
        Database(tmp_path / "memory.db", MIGRATIONS),
        BackgroundEmbedder(Settings(embedder="none")),
    )
    with closing(Memories(database, nothing, reranking=Reranking("longest", load))) as memories:
        memories.add("a", [draft(text) for text in told])
        found = memories.search("a", "the gauge", filtered(), limit=9, max_tokens=2000, wait_s=0)
        texts = [result.text for result in found.results]
    if load is refused:
        assert (found.reranked, texts[0]) == ("", told[0])
        assert found.why.endswith("not reranked by longest: longest is not a folder")
    else:
        assert (found.reranked, texts) == ("longest", sorted(told, key=len, reverse=True))


# ---- through the tools


@pytest.mark.anyio
async def test_what_yesterday_means_stands_beside_the_text_which_stays(client: Client) -> None:
    text = "Yesterday we went to the gauge; next week we mend it."
    id = await added(client, text, occurred_at="2023-05-10T14:30:00Z")
    data, shown = await call(client, "memory_search", query="When was the gauge visited?")
    (found,) = data["results"]
    assert found["text"] == text
    assert found["dates"] == {"Yesterday": "2023-05-09", "next week": "2023-05-15/2023-05-21"}
    assert f'{id} · 2023-05-10T14:30Z · "Yesterday": 2023-05-09' in shown
    read, _ = await call(client, "memory_get", ids=[id])
    assert read["memories"][0]["dates"] == found["dates"]


@pytest.mark.anyio
async def test_scores_are_explained_where_somebody_asks(client: Client) -> None:
    await added(client, "Ann mends the gauge.", speaker="Ann", occurred_at="2023-05-10")
    plain, shown = await call(client, "memory_search", query="gauge of Ann in May 2023")
    assert "why" not in plain["results"][0]
    assert "why:" not in shown
    told, shown = await call(client, "memory_search", query="gauge of Ann in May 2023", why=True)
    assert told["results"][0]["why"][0].startswith("words (BM25) ")
    assert "why: words (BM25)" in shown
    assert "time asked for x1.5" in shown


@pytest.mark.anyio
async def test_what_was_replaced_is_found_when_the_past_is_asked_for_and_says_so(client: Client) -> None:
    old = await added(client, "Ann lives in Paris.", occurred_at="2024-01-01")
    told, shown = await call(client, "memory_add", text="Ann lives in Lisbon.", replaces=[old])
    new = told["results"][0]["id"]
    assert told["results"][0]["replaced"] == [old]
    assert f"in place of {old}" in shown
    assert await texts(client, "Where does Ann live?") == ["Ann lives in Lisbon."]
    data, shown = await call(client, "memory_search", query="Where does Ann live?", past=True)
    (before,) = [result for result in data["results"] if result["id"] == old]
    assert before["replaced_by"] == new
    assert f"replaced by {new}" in shown
    assert "true until 20" in shown


@pytest.mark.anyio
async def test_a_search_as_of_a_day_gives_what_was_true_then(client: Client) -> None:
    await added(client, "Ann works in Porto.", valid_from="2020-01-01", valid_to="2021-01-01")
    data, _ = await call(client, "memory_search", query="Ann Porto", as_of="2020-06-01")
    assert data["results"] == []  # nobody had told us
    assert await texts(client, "Ann Porto") == []
    assert await texts(client, "Ann Porto", past=True) == ["Ann works in Porto."]


@pytest.mark.anyio
async def test_a_search_can_be_kept_to_a_person_or_a_conversation(client: Client) -> None:
    await added(client, "The gauge is high.", speaker="Ann", conversation="c1")
    await added(client, "The gauge is low.", speaker="Bo", conversation="c1")
    await added(client, "Ann sold a gauge.", conversation="c2")
    assert set(await texts(client, "gauge", about="ann")) == {"The gauge is high.", "Ann sold a gauge."}
    assert set(await texts(client, "gauge", conversation="c1")) == {"The gauge is high.", "The gauge is low."}
    assert await texts(client, "gauge", conversation="c1", about="Bo") == ["The gauge is low."]
    assert await texts(client, "gauge", conversation="nowhere") == []


@pytest.mark.anyio
async def test_an_answer_keeps_to_its_budget_with_all_it_says(client: Client) -> None:
    items = [
        {"text": f"Gauge {n} of the harbour stood at {n * 7} yesterday.", "speaker": "Ann"}
        for n in range(100)
    ]
    await call(client, "memory_add", items=items, tags=["harbour"], occurred_at="2023-05-10")
    for budget in (200, 1000, 2000):
        data, text = await call(client, "memory_search", query="harbour gauge", limit=100, max_tokens=budget)
        assert len(text.encode()) / 4 <= budget
        assert len(text.encode()) / 4 > 0.8 * budget
        assert data["left_out"] + len(data["results"]) == 100


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("told", "question"),
    [
        ("安在里斯本的港口办公室工作。", "安在哪个港口工作？"),
        ("アンはリスボンの港の事務所で働いている。", "リスボンで働いているのは誰ですか"),
        ("アンはリスボンの港で働く。", "港"),
    ],
)
async def test_chinese_and_japanese_are_found_by_a_question(client: Client, told: str, question: str) -> None:
    await added(client, told)
    await added(client, "天気がよい。天气很好。")
    assert (await texts(client, question))[0] == told


@pytest.mark.anyio
async def test_an_expiring_memory_and_who_told_it_are_shown(client: Client) -> None:
    id = await added(client, "The guest code is 4411.", ttl_days=2, source="https://a.example", trust="user")
    (row,) = (await call(client, "memory_get", ids=[id]))[0]["memories"]
    assert row["expires_at"] > row["recorded_at"]
    assert row["source"].startswith("https://a.example via ")
    assert row["trust"] == "user"


@pytest.mark.anyio
async def test_wrong_arguments_are_refused_with_a_cure(client: Client) -> None:
    for tool, arguments, said in (
        (
            "memory_add",
            {"text": "x", "replaces": ["mnowhere"]},
            'replaces: names mnowhere, which space "default"',
        ),
        ("memory_add", {"text": "x", "trust": "import"}, "trust: input should be 'user', 'agent' or 'tool'"),
        ("memory_add", {"text": "x", "valid_from": "2025-02-01", "valid_to": "2025-01-01"}, "Swap the two."),
        ("memory_add", {"text": "x", "ttl_days": -1}, "ttl_days: input should be greater than or equal to 0"),
        ("memory_add", {"items": [{"text": "x", "valid_to": "soon"}]}, "items[0].valid_to: 'soon' is no ISO"),
        ("memory_search", {"query": "x", "as_of": "1 March"}, "as_of: '1 March' is no ISO 8601 date."),
        ("memory_get", {"conversation": "nowhere"}, 'There is no conversation "nowhere".'),
        ("memory_get", {"ids": ["m"], "conversation": "c"}, "ids: came together with conversation."),
        ("memory_get", {"around": 3}, "conversation: is empty."),
        ("memory_get", {"conversation": "c", "before": 3, "after": 2}, "Send one of the three."),
    ):
        assert said in await refusal(client, tool, **arguments)
    assert await texts(client, "x") == []
