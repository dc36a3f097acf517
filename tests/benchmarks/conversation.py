"""What one conversation of many turns costs, and a search among many memories.

    python tests/benchmarks/conversation.py [--turns N] [--memories N]

Appends N turns (default 10,000) one at a time, as an agent does; printed is the processor time of an append,
for each tenth of them, and how many planted facts are among the first ten results for a question, within 500
tokens. Then N memories (default 100,000) of 28 words out of a hundred, hence all common ones, in one space;
printed is the processor time of a search for three of these words, with and without one rare word beside
them, and how many of the best two hundred that a look at all of them gives it finds. No vectors.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from pygent_memory.filters import Filter
from pygent_memory.memories import Memories
from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.fulltext import any_of
from pygent_shared.settings import Settings

SMALL = "well yes no maybe later today fine good thanks sure really nice tea rain walk home call week".split()
SYLLABLES = ("ka", "lo", "mi", "ren", "tu", "sal", "vo", "der", "pin", "gra")
WORDS = [first + second for first in SYLLABLES for second in SYLLABLES]
PLACES = "attic barn cellar drawer engine fridge garage hallway".split()
THINGS = "anchor barometer compass ladder lantern oar rope sextant".split()
AT_ONCE = 1000


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--turns", type=int, default=10_000)
    asked.add_argument("--memories", type=int, default=100_000)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "memory.db", MIGRATIONS)
        memories = Memories(database, BackgroundEmbedder(Settings(embedder="none")))
        conversation(memories, options.turns)
        common(memories, options.memories)
        memories.close()


def conversation(memories: Memories, turns: int) -> None:
    luck = random.Random(1)
    facts = dict(zip(THINGS, luck.sample(PLACES, len(PLACES)), strict=True))
    planted = dict(zip(luck.sample(range(turns), len(facts)), facts.items(), strict=True))
    took: list[float] = []
    for number in range(turns):
        text = " ".join(luck.choices(SMALL, k=15))
        if number in planted:
            text = "I keep the {} in the {} now.".format(*planted[number])
        turn = draft(text, conversation="chat", speaker=luck.choice(["Ann", "Bo"]), kind="episodic")
        took.append(timed(lambda turn=turn: memories.add("talk", [turn])))
    for part in range(10):
        some = took[part * turns // 10 : (part + 1) * turns // 10]
        print(f"append, turns to {(part + 1) * turns // 10:>7,}: p50 {median(some):6.2f} ms")
    found = 0
    for thing, place in facts.items():
        answer = memories.search(
            "talk", f"Where is the {thing} kept?", Filter(), limit=10, max_tokens=500, wait_s=0
        )
        found += any(place in result.text for result in answer.results)
    print(f"planted facts recalled within 500 tokens: {found} of {len(facts)}")


def common(memories: Memories, count: int) -> None:
    luck = random.Random(2)
    for start in range(0, count, AT_ONCE):
        texts = [f"uid{start + n} " + " ".join(luck.choices(WORDS, k=28)) for n in range(AT_ONCE)]
        memories.store.add("notes", [draft(text) for text in texts], "2025-01-01T00:00:00Z")
    questions = [" ".join(luck.sample(WORDS, 3)) for _ in range(50)]
    rare = [f"uid{luck.randrange(count)} {question}" for question in questions]

    def search(question: str) -> None:
        memories.search("notes", question, Filter(), limit=10, max_tokens=2000, wait_s=0)

    search(questions[0])
    memories.finder.words.wait(60)
    for what, some in (("three common words", questions), ("and a rare one", rare)):
        times = [timed(lambda question=question: search(question)) for question in some]
        print(f"search among {count:,}, {what:20} p50 {median(times):6.1f} ms")
    print(f"of the best 200 by all words, found: {100 * same(memories, questions[:10]):.1f} %")


def same(memories: Memories, questions: list[str]) -> float:
    shares = []
    for question in questions:
        match = any_of(question.split())
        best = memories.database.query(
            "SELECT rowid FROM passage_words WHERE passage_words MATCH ? "
            "ORDER BY bm25(passage_words, 1.0, 0.4), rowid LIMIT 200",
            (match,),
        )
        found = list(memories.finder.matching("notes", question, Filter(), 200))
        shares.append(len({row for (row,) in best} & set(found)) / len(best))
    return sum(shares) / len(shares)


def timed(act: Callable[[], object]) -> float:
    """The processor time, in milliseconds."""
    begun = time.process_time()
    act()
    return 1000 * (time.process_time() - begun)


if __name__ == "__main__":
    main()
