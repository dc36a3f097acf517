"""What only the memory mirror does: it follows the database, whoever changes it, and finds the nearest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import DIMENSIONS, ITEMS, MIGRATIONS, fill, some

from pygent_shared.database import Database
from pygent_shared.vectors import changes
from pygent_shared.vectors.codes import Codes
from pygent_shared.vectors.mirror import MirroredVectors
from pygent_shared.vectors.sqlite_vec import SqliteVectors


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "pages.db", MIGRATIONS)
    yield opened
    opened.close()


def mirrored(database: Database, query: np.ndarray) -> MirroredVectors:
    """A store whose mirror is built."""
    store = MirroredVectors(database, ITEMS, least=1)
    store.nearest("m", query.tobytes(), [1], 1)
    assert store.wait("m", 30)
    return store


def test_it_takes_over_what_another_process_adds_changes_and_deletes(database: Database) -> None:
    vectors = some(50)
    items = fill(database, vectors)
    store = mirrored(database, vectors[0])
    assert next(iter(store.nearest("m", vectors[3].tobytes(), [1], 5))) == items[3]

    with database.write() as connection:
        connection.execute("DELETE FROM page WHERE id = ?", (items[3],))
    (added,) = fill(database, some(1, seed=9))
    SqliteVectors(database, ITEMS).put("m", [(items[4], vectors[3].tobytes())])

    assert next(iter(store.nearest("m", vectors[3].tobytes(), [1], 5))) == items[4]
    assert next(iter(store.nearest("m", some(1, seed=9)[0].tobytes(), [1], 5))) == added
    assert items[3] not in store.nearest("m", vectors[3].tobytes(), [1], -1)


def test_it_is_built_anew_where_the_log_no_longer_tells(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = some(40)
    fill(database, vectors[:20])
    store = mirrored(database, vectors[0])
    items = fill(database, vectors[20:])
    with database.write() as connection:
        connection.execute("DELETE FROM page_vector_change WHERE number < 35")

    found = [store.nearest("m", vectors[30].tobytes(), [1], 1) for _ in range(2)]
    assert store.wait("m", 30)
    found.append(store.nearest("m", vectors[30].tobytes(), [1], 1))

    assert [list(one) for one in found] == [[items[10]]] * 3


@pytest.mark.parametrize("few", [changes.FEW_NEW, 2])
def test_what_lacks_a_vector_is_counted_whether_few_or_many_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(changes, "FEW_NEW", few)
    items = fill(database, some(20))
    store = MirroredVectors(database, ITEMS)
    assert (store.pending("m"), store.pending("m", [1]), store.pending("m", [2])) == (0, 0, 0)

    with database.write() as connection:
        connection.execute("DELETE FROM page_vector WHERE item = ?", (items[3],))
        connection.executemany("INSERT INTO page (book, text) VALUES (?, '')", [(1,), (1,), (2,)])
    assert (store.pending("m"), store.pending("m", [1]), store.pending("m", [2])) == (4, 3, 1)

    with database.write() as connection:
        connection.execute("DELETE FROM page WHERE id = ?", (items[3],))
    missing = [item for item, _ in store.missing("m", 9)]
    SqliteVectors(database, ITEMS).put("m", [(item, some(1)[0].tobytes()) for item in missing[:2]])
    assert (store.pending("m"), store.pending("m", [1]), store.pending("m", [2])) == (1, 0, 1)
    store.put("m", [(missing[2], some(1)[0].tobytes())])
    assert (store.pending("m"), store.pending("m", [1]), store.pending("m", [2])) == (0, 0, 0)


def test_the_log_is_kept_short(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEPT_CHANGES", 10)
    vectors = some(30)
    items = fill(database, vectors)

    MirroredVectors(database, ITEMS).put("m", [(items[0], vectors[1].tobytes())])

    ((count,),) = database.query("SELECT count(*) FROM page_vector_change")
    assert count == 10


def test_few_vectors_are_read_from_the_database_which_is_exact(database: Database) -> None:
    vectors = some(20)
    fill(database, vectors)
    store = MirroredVectors(database, ITEMS)

    assert store.nearest("m", vectors[0].tobytes(), [1], 20) == SqliteVectors(database, ITEMS).nearest(
        "m", vectors[0].tobytes(), [1], 20
    )
    assert not store.wait("m", 0)


def test_of_many_it_finds_nearly_all_that_are_nearest(database: Database) -> None:
    vectors, queries = some(20_000), some(30, seed=3)
    codes = Codes(DIMENSIONS)
    codes.put(range(20_000), [1] * 20_000, [vector.tobytes() for vector in vectors])

    found = [set(codes.nearest(query.tobytes(), [1], 10)) for query in queries]
    exact = [set(row.tolist()) for row in np.argsort(-(queries @ vectors.T), axis=1)[:, :10]]

    assert np.mean([len(a & b) / 10 for a, b in zip(found, exact, strict=True)]) > 0.9


def test_only_what_is_asked_for_is_found_however_little_it_is() -> None:
    vectors = some(5_000)
    codes = Codes(DIMENSIONS)
    books = [1 + item % 50 for item in range(5_000)]
    codes.put(range(5_000), books, [vector.tobytes() for vector in vectors])
    query = vectors[0].tobytes()

    assert {books[item] for item in codes.nearest(query, [1, 2], 20)} <= {1, 2}
    assert len(codes.nearest(query, [1, 2], -1)) == 200
    assert codes.nearest(query, [51], 20) == {}
    assert set(codes.nearest(query, [1], 20, among=[0, 50, 51, 9_999])) == {0, 50}


def test_what_was_taken_out_is_forgotten_and_its_room_used_again() -> None:
    vectors = [vector.tobytes() for vector in some(8_000)]
    codes = Codes(DIMENSIONS)
    codes.put(range(8_000), [1] * 8_000, vectors)
    codes.remove(range(6_000))
    codes.put(range(100), [1] * 100, vectors[:100])

    assert len(codes) == 2_100
    assert set(codes.nearest(vectors[0], [1], -1)) == {*range(100), *range(6_000, 8_000)}
    assert next(iter(codes.nearest(vectors[7_000], [1], 1))) == 7_000
