"""The contract of `VectorStore`. A new store takes part with one more entry in `SHELVES`."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygent_shared.database import Database
from pygent_shared.errors import MissingExtra
from pygent_shared.vectors import EXACT, INDEXES, VectorStore, mirror
from pygent_shared.vectors.mirror import MirroredVectors, open_vectors
from pygent_shared.vectors.sqlite_vec import Items, SqliteVectors


class Shelf(Protocol):
    """Items in groups, and the vectors of them that are under test."""

    vectors: VectorStore

    def add(self, group: int, text: str) -> int: ...

    def remove(self, item: int) -> None: ...

    def close(self) -> None: ...


ITEMS = Items(table="page", id="number", text="words", group="book")
TABLE = "CREATE TABLE page (number INTEGER PRIMARY KEY AUTOINCREMENT, book INTEGER, words TEXT);"


class SqliteShelf:
    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / "pages.db", [TABLE + ITEMS.schema, mirror.schema(ITEMS)])
        self.vectors = self._store()

    def _store(self) -> VectorStore:
        return SqliteVectors(self._database, ITEMS)

    def add(self, group: int, text: str) -> int:
        with self._database.write() as connection:
            connection.execute("INSERT INTO page (book, words) VALUES (?, ?)", (group, text))
            return connection.last_insert_rowid()

    def remove(self, item: int) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM page WHERE number = ?", (item,))

    def close(self) -> None:
        self._database.close()


class MirroredShelf(SqliteShelf):
    """Mirrored from the first vector on, and asked only once the mirror is built."""

    def __init__(self, folder: Path, index: str) -> None:
        self._index = index
        super().__init__(folder)

    def _store(self) -> VectorStore:
        return Built(self._database, ITEMS, self._index, least=1)


class Built(MirroredVectors):
    def nearest(self, model: str, *args: Any) -> dict[int, float]:
        if super().nearest(model, *args):
            assert self.wait(model, 10)
        return super().nearest(model, *args)


class CopiedShelf(SqliteShelf):
    """Copied to PostgreSQL from the first vector on, and asked only once the copy is made."""

    def __init__(self, folder: Path, url: str) -> None:
        self._url = url
        super().__init__(folder)

    def _store(self) -> VectorStore:
        from pygent_shared.vectors.postgres import PostgresVectors

        class Copied(PostgresVectors):
            def nearest(self, model: str, *args: Any) -> dict[int, float]:
                if super().nearest(model, *args):
                    assert self.wait(model, 30)
                return super().nearest(model, *args)

            def _leave_alone(self, model: str, error: Exception) -> None:
                raise error  # the rows would answer, and hide that it cannot

        return Copied(self._database, ITEMS, self._url, least=1)


SHELVES: dict[str, Callable[[Path], Shelf]] = {
    EXACT: SqliteShelf,
    **{index: partial(MirroredShelf, index=index) for index in INDEXES},
}


@pytest.fixture(params=[*SHELVES, "pgvector"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    if request.param == "pgvector":
        copied = CopiedShelf(tmp_path, request.getfixturevalue("postgres"))
        yield copied
        copied.close()
        return
    if (kind := INDEXES.get(request.param)) and not kind.is_installed:
        pytest.skip(f"{kind.package} is not installed")
    opened = SHELVES[request.param](tmp_path)
    yield opened
    opened.close()


def unit(*parts: float) -> bytes:
    length = sqrt(sum(part * part for part in parts))
    return array("f", [part / length for part in parts]).tobytes()


def test_the_nearest_come_first_with_their_cosine(shelf: Shelf) -> None:
    north, east, south = (shelf.add(1, way) for way in ("north", "east", "south"))
    shelf.vectors.put("m", [(south, unit(0, -1)), (north, unit(0, 1)), (east, unit(1, 0))])

    found = shelf.vectors.nearest("m", unit(1, 2), [1], 10)

    assert list(found) == [north, east, south]
    assert list(found.values()) == pytest.approx([2 / sqrt(5), 1 / sqrt(5), -2 / sqrt(5)], abs=3e-5)
    assert list(shelf.vectors.nearest("m", unit(1, 2), [1], 2)) == [north, east]


def test_equally_near_ones_come_in_the_order_of_their_age(shelf: Shelf) -> None:
    items = [shelf.add(1, "same") for _ in range(5)]
    shelf.vectors.put("m", [(item, unit(1, 1)) for item in reversed(items)])

    assert list(shelf.vectors.nearest("m", unit(1, 1), [1], 3)) == items[:3]


def test_vectors_of_two_models_never_meet_in_one_ranking(shelf: Shelf) -> None:
    both, only_old = shelf.add(1, "both"), shelf.add(1, "only old")
    shelf.vectors.put("old", [(both, unit(0, 1)), (only_old, unit(0, 1))])
    shelf.vectors.put("new", [(both, unit(1, 0, 0))])  # not even of the same length

    assert list(shelf.vectors.nearest("new", unit(1, 0, 0), [1], 10)) == [both]
    assert list(shelf.vectors.nearest("old", unit(0, 1), [1], 10)) == [both, only_old]
    assert shelf.vectors.nearest("third", unit(1, 0), [1], 10) == {}


def test_only_the_groups_asked_for_are_searched(shelf: Shelf) -> None:
    items = {group: shelf.add(group, "text") for group in (1, 2, 3)}
    shelf.vectors.put("m", [(item, unit(1, 0)) for item in items.values()])

    assert set(shelf.vectors.nearest("m", unit(1, 0), [1, 3], 10)) == {items[1], items[3]}
    assert shelf.vectors.nearest("m", unit(1, 0), [], 10) == {}


def test_a_deleted_item_takes_its_vectors_with_it(shelf: Shelf) -> None:
    kept, gone = shelf.add(1, "kept"), shelf.add(1, "gone")
    shelf.vectors.put("m", [(kept, unit(0, 1)), (gone, unit(1, 0))])
    shelf.remove(gone)

    assert list(shelf.vectors.nearest("m", unit(1, 0), [1], 10)) == [kept]
    assert shelf.vectors.pending("m") == 0


def test_a_vector_that_comes_after_its_item_was_deleted_is_dropped(shelf: Shelf) -> None:
    gone, kept = shelf.add(1, "gone"), shelf.add(1, "kept")
    shelf.remove(gone)
    shelf.vectors.put("m", [(gone, unit(1, 0)), (kept, unit(1, 0))])

    assert list(shelf.vectors.nearest("m", unit(1, 0), [1], 10)) == [kept]


def test_a_later_vector_replaces_the_earlier_one(shelf: Shelf) -> None:
    item = shelf.add(1, "text")
    shelf.vectors.put("m", [(item, unit(0, 1))])
    shelf.vectors.put("m", [(item, unit(1, 0))])

    assert shelf.vectors.nearest("m", unit(1, 0), [1], 10) == {item: pytest.approx(1, abs=3e-5)}


def test_what_has_no_vector_of_this_model_is_missing_the_oldest_first(shelf: Shelf) -> None:
    first, second, third = (shelf.add(group, f"text {group}") for group in (1, 2, 1))
    shelf.vectors.put("other", [(first, unit(1, 0))])

    assert shelf.vectors.missing("m", 2) == [(first, "text 1"), (second, "text 2")]
    assert (shelf.vectors.pending("m"), shelf.vectors.pending("m", [1])) == (3, 2)
    shelf.vectors.put("m", [(first, unit(1, 0)), (second, unit(1, 0))])
    assert shelf.vectors.missing("m", 2) == [(third, "text 1")]
    assert (shelf.vectors.pending("m"), shelf.vectors.pending("m", [2])) == (1, 0)
    assert shelf.vectors.pending("m", []) == 0


def test_of_some_items_alone_the_nearest_is_found(shelf: Shelf) -> None:
    near, far, other = (shelf.add(group, "text") for group in (1, 1, 2))
    shelf.vectors.put("m", [(near, unit(1, 0)), (far, unit(0, 1)), (other, unit(1, 0))])

    assert list(shelf.vectors.nearest("m", unit(1, 0), [1], 10, [far, other])) == [far]
    assert shelf.vectors.nearest("m", unit(1, 0), [1], 10, []) == {}


def test_the_spread_is_the_deviation_of_the_cosines(shelf: Shelf) -> None:
    items = [shelf.add(1, "text") for _ in range(4)]
    shelf.vectors.put("m", [(item, unit(1, 0) if item % 2 else unit(-1, 0)) for item in items])
    shelf.vectors.nearest("m", unit(1, 0), [1], 1)

    assert shelf.vectors.spread("m", unit(1, 0), [1]) == pytest.approx(1, abs=0.01)
    assert shelf.vectors.spread("m", unit(1, 0), [9]) == 0


def test_vectors_are_read_as_they_were_put(shelf: Shelf) -> None:
    first, second, bare = (shelf.add(1, "text") for _ in range(3))
    shelf.vectors.put("m", [(first, unit(1, 2)), (second, unit(3, 1))])

    assert shelf.vectors.read("m", [second, bare]) == {second: unit(3, 1)}
    assert shelf.vectors.read("other", [first]) == {}


def test_what_another_connection_adds_and_takes_out_is_counted_at_once(shelf: Shelf) -> None:
    def elsewhere(work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)  # each thread has a connection of its own
        thread.start()
        thread.join(10)

    page = shelf.add(1, "here")
    assert shelf.vectors.pending("m") == 1
    elsewhere(lambda: shelf.add(2, "there"))
    assert [shelf.vectors.pending("m", groups) for groups in (None, [1], [2])] == [2, 1, 1]
    elsewhere(lambda: shelf.vectors.put("m", [(page, unit(1, 0))]))
    assert [shelf.vectors.pending("m", groups) for groups in (None, [1], [2])] == [1, 0, 1]
    shelf.remove(page)
    assert shelf.vectors.pending("m") == 1


def test_putting_nothing_is_allowed(shelf: Shelf) -> None:
    shelf.vectors.put("m", [])

    assert shelf.vectors.missing("m", 5) == []


AXES = st.lists(st.integers(-5, 5), min_size=3, max_size=3).filter(any)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(points=st.lists(AXES, min_size=1, max_size=12), query=AXES)
def test_the_ranking_is_by_the_cosine(shelf: Shelf, points: Sequence[list[int]], query: list[int]) -> None:
    items = {shelf.add(7, "point"): point for point in points}
    shelf.vectors.put("m", [(item, unit(*point)) for item, point in items.items()])

    found = shelf.vectors.nearest("m", unit(*query), [7], len(points))
    for item in items:
        shelf.remove(item)

    exact = {item: cosine(point, query) for item, point in items.items()}
    assert found == {item: pytest.approx(exact[item], abs=3e-5) for item in items}
    assert list(found.values()) == sorted(found.values(), reverse=True)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return dot / sqrt(sum(a * a for a in left) * sum(b * b for b in right))


def test_an_index_that_is_not_installed_is_named_with_what_installs_it(tmp_path: Path) -> None:
    index, kind = next(((name, kind) for name, kind in INDEXES.items() if not kind.is_installed), ("", None))
    if kind is None:
        pytest.skip("every index is installed")
    database = Database(tmp_path / "pages.db", [TABLE + ITEMS.schema, mirror.schema(ITEMS)])

    with pytest.raises(MissingExtra, match=rf"pip install 'pygent-factory\[{kind.extra}\]'"):
        open_vectors(database, ITEMS, index)
    database.close()
