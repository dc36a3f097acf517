"""`Bm25` ranks as SQLite's FTS5 does, whatever was put into it, changed and taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_shared import bm25
from pygent_shared.bm25 import Bm25

WEIGHTS = (1.0, 0.4)

words = st.lists(st.sampled_from("tide ebb flow harbour moon wave".split()), max_size=bm25.MOST_TIMES)
rows = st.tuples(st.integers(1, 40), st.integers(0, 2), words, words)


@dataclass
class Both:
    """The same rows in the index and in an FTS5 table."""

    index: Bm25 = field(default_factory=lambda: Bm25(WEIGHTS))
    rows: dict[int, bm25.Row] = field(default_factory=dict)

    def put(self, some: Sequence[bm25.Row]) -> None:
        different = {row[0]: row for row in some}
        self.rows |= different
        self.index.put(list(different.values()))

    def remove(self, items: Sequence[int]) -> None:
        self.index.remove(items)
        self.rows = {item: row for item, row in self.rows.items() if item not in items}

    def by_fts5(self, asked: Mapping[str, int], groups: Sequence[int]) -> dict[int, float]:
        connection = apsw.Connection(":memory:")
        connection.execute("CREATE VIRTUAL TABLE f USING fts5(a, b)")
        for item, _, *texts in self.rows.values():
            connection.execute("INSERT INTO f(rowid, a, b) VALUES (?, ?, ?)", (item, *map(" ".join, texts)))
        match = " OR ".join(word for word, times in asked.items() for _ in range(times))
        found = connection.execute(
            f"SELECT rowid, -bm25(f, {WEIGHTS[0]}, {WEIGHTS[1]}) AS score FROM f WHERE f MATCH ? "
            "ORDER BY score DESC, rowid",
            (match,),
        ).fetchall()
        return {item: score for item, score in found if self.rows[item][1] in groups}


@given(
    puts=st.lists(st.lists(rows, max_size=25), min_size=1, max_size=6),
    removed=st.lists(st.integers(1, 40), max_size=20),
    after=st.lists(rows, max_size=3),
    asked=words.filter(len).map(Counter),
    groups=st.sampled_from([[0], [1], [0, 2], [0, 1, 2]]),
)
def test_it_ranks_as_fts5_does(
    puts: list[list[bm25.Row]],
    removed: list[int],
    after: list[bm25.Row],
    asked: Counter[str],
    groups: list[int],
) -> None:
    both = Both()
    for some in puts:
        both.put(some)
    both.remove(removed)
    both.put(after)
    exact = both.by_fts5(asked, groups)
    found = both.index.best(asked, groups, 100)
    assert found == pytest.approx(exact, rel=1e-4, abs=1e-9)
    assert len(both.index) == len(both.rows)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    few = both.index.best(asked, groups, 3)
    assert list(few.items()) == list(found.items())[:3]


def test_only_what_is_wanted_is_found_and_what_is_known_besides_is_added() -> None:
    index = Bm25(WEIGHTS)
    index.put([(n, 0, ["tide", *["sea"] * n], []) for n in range(1, 5)])
    index.put([(5, 0, ["ebb"], []), (6, 1, ["tide"], [])])
    assert list(index.best({"tide": 1}, [0], 9)) == [1, 2, 3, 4]
    assert list(index.best({"tide": 1}, [0], 2)) == [1, 2]
    assert list(index.best({"tide": 1}, [0], 9, among={2, 4, 5, 6})) == [2, 4]
    assert list(index.best({"tide": 1}, [0], 9, more={5: 30.0, 3: 20.0, 6: 40.0})) == [5, 3, 1, 2, 4]
    assert index.best({"tide": 1}, [7], 9) == index.best({}, [0], 9) == index.best({"x": 1}, [0], 9) == {}
    assert Bm25(WEIGHTS).best({"tide": 1}, [0], 9) == {}


def test_of_equals_the_lower_number_comes_first_however_many_there_are() -> None:
    index = Bm25(WEIGHTS)
    index.put([(n, 0, ["tide"], []) for n in range(3_000, 0, -1)])
    index.put([(n, 0, ["ebb"], []) for n in range(4_000, 9_000)])
    assert list(index.best({"tide": 1}, [0], 1_500)) == list(range(1, 1_501))


def test_many_puts_leave_few_segments_and_what_is_gone_takes_no_room() -> None:
    index = Bm25(WEIGHTS)
    for n in range(600):
        index.put([(n, 0, ["tide", f"n{n}"], ["ebb"])])
    assert len(index._segments) <= 4
    size = index.megabytes
    index.remove(range(500))
    index.put([(n, 0, ["flow"], []) for n in range(1_000, 1_100)])
    assert index.megabytes < size / 2
    assert list(index.best({"tide": 1, "n501": 1}, [0], 1)) == [501]
    assert index.best({"n3": 1}, [0], 1) == {}
