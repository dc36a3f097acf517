"""Vectors of several models in one database: whoever searches with one is answered by that one alone."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygent_memory.changing import Changing, change
from pygent_memory.filters import Filter
from pygent_memory.forgetting import Forgetting
from pygent_memory.memories import Memories, Search
from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.testing import ScriptedEmbedder

WORDS = ("tide", "salt", "rope")
QUESTIONS = ("sea", "food", "ship")
# Which question each word answers differs from model to model.
ANSWERS = {"one": (0, 1, 2), "two": (1, 2, 0), "three": (0, 2, 1)}


class Model(ScriptedEmbedder):
    """Answers questions at once, and everything else when `gate` is open."""

    def __init__(self, name: str) -> None:
        means = {word: answer + 1 for word, answer in zip(WORDS, ANSWERS[name], strict=True)}
        super().__init__({**means, **{word: number + 1 for number, word in enumerate(QUESTIONS)}})
        self.model = name
        self.gate = threading.Event()
        self.gate.set()

    def embed(self, texts: Any) -> list[bytes]:
        if not texts[0].endswith("?"):
            assert self.gate.wait(60)
        return super().embed(texts)


def opened(folder: Path, model: ScriptedEmbedder) -> Memories:
    return Memories(Database(folder / "memory.db", MIGRATIONS), BackgroundEmbedder.loaded(model))


def ask(memories: Memories, question: int, wait_s: float = 60) -> Search:
    return memories.search(
        "a", f"{QUESTIONS[question]}?", Filter(), limit=100, max_tokens=50_000, wait_s=wait_s
    )


def found(search: Search) -> list[str]:
    return sorted(item.memory.id for item in search.results)


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "change", "forget", "restore", "ask", "ask"]),
        st.sampled_from(sorted(ANSWERS)),
        st.integers(0, 2),
        st.integers(0, 5),
    ),
    min_size=3,
    max_size=15,
)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(steps)
def test_a_search_with_one_model_compares_no_vector_of_another(
    lived: list[tuple[str, str, int, int]],
) -> None:
    live: dict[str, int] = {}
    gone: list[str] = []
    words: dict[str, int] = {}
    with TemporaryDirectory() as folder:
        all = {name: opened(Path(folder), Model(name)) for name in ANSWERS}
        try:
            for step, (what, name, number, place) in enumerate(lived):
                memories, ids = all[name], list(live)
                if what == "ask":
                    search = ask(memories, number)
                    assert (search.retrieval, search.pending) == ("hybrid" if live else search.retrieval, 0)
                    answers = [id for id, word in live.items() if ANSWERS[name][word] == number]
                    assert found(search) == sorted(answers)
                elif what == "add":
                    (added,) = memories.add("a", [draft(f"{WORDS[number]} {step}.")])
                    live[added.stored.id] = words[added.stored.id] = number
                elif what == "restore" and gone:
                    id = gone.pop()
                    Forgetting(memories).restore("a", [id])
                    live[id] = words[id]
                elif ids and what == "forget":
                    id = ids[place % len(ids)]
                    Forgetting(memories).forget("a", [id])
                    gone.append(id)
                    del live[id]
                elif ids and what == "change":
                    id = ids[place % len(ids)]
                    text = f"{WORDS[number]} changed {step}."
                    new = Changing(memories).change("a", id, change(memories.now(), text=text)).memory.id
                    del live[id]
                    live[new] = words[new] = number
        finally:
            for memories in all.values():
                memories.close()


def test_after_a_switch_words_serve_and_say_so_until_the_new_vectors_are_made(tmp_path: Path) -> None:
    before = opened(tmp_path, Model("one"))
    before.add("a", [draft("tide here."), draft("salt here, by the sea.")])
    assert len(ask(before, 0).results) == 2
    before.close()
    model = Model("two")
    model.gate.clear()
    after = opened(tmp_path, model)
    try:
        search = ask(after, 0, wait_s=0)
        assert [item.memory.text for item in search.results] == ["salt here, by the sea."]
        assert (search.retrieval, search.pending) == ("lexical", 2)
        assert search.why == "vectors still to be computed: 2; wait for them with wait_s=10"
        model.gate.set()
        search = ask(after, 1)
        assert [item.memory.text for item in search.results] == ["tide here."]
        assert (search.retrieval, search.pending) == ("hybrid", 0)
    finally:
        model.gate.set()
        after.close()
