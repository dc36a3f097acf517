"""What only the copy in PostgreSQL does: processes share it, it follows the database, and it may be gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from pages import DIMENSIONS, ITEMS, MIGRATIONS, fill, some
from postgres_server import programs, running

from pygent_shared.database import Database
from pygent_shared.errors import DatabaseUnusable, MissingExtra
from pygent_shared.settings import Settings
from pygent_shared.vectors import mirror, postgres
from pygent_shared.vectors.mirror import open_vectors
from pygent_shared.vectors.postgres import PostgresVectors
from pygent_shared.vectors.postgres_connection import opened
from pygent_shared.vectors.sqlite_vec import SqliteVectors


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "pages.db", MIGRATIONS)
    yield made
    made.close()


def copied(database: Database, url: str, dimensions: int = DIMENSIONS) -> PostgresVectors:
    """A store whose copy is made."""
    store = PostgresVectors(database, ITEMS, url, least=1)
    store.nearest("m", np.eye(1, dimensions, dtype="<f4").tobytes(), [1], 1)
    assert store.wait("m", 60)
    return store


def tables(url: str) -> set[int]:
    with psycopg.connect(url) as connection:
        return {id for (id,) in connection.execute("SELECT id FROM pygent_vectors").fetchall()}


def without_rows(database: Database) -> Callable[[], None]:
    """Take the vectors out of SQLite behind the log's back, so that only the copy knows them."""

    def take() -> None:
        with database.write() as connection:
            connection.execute("DROP TRIGGER page_vector_goes")
            connection.execute("DELETE FROM page_vector")

    return take


def test_it_answers_and_two_processes_share_one_copy(database: Database, postgres: str) -> None:
    vectors = some(60)
    items = fill(database, vectors)
    first = copied(database, postgres)
    before = tables(postgres)
    second = copied(database, postgres)
    assert tables(postgres) == before
    (added,) = fill(database, some(1, seed=9))
    query = some(1, seed=9)[0].tobytes()
    for store in (first, second):
        assert next(iter(store.nearest("m", query, [1], 3))) == added
    without_rows(database)()
    for store in (first, second):
        assert next(iter(store.nearest("m", vectors[3].tobytes(), [1], 3))) == items[3]
    assert SqliteVectors(database, ITEMS).nearest("m", query, [1], 3) == {}


def test_of_many_it_finds_nearly_all_that_are_nearest_in_some_groups_too(
    database: Database, postgres: str
) -> None:
    vectors, queries = some(4_000), some(20, seed=3)
    books = {
        item: 1 + number % 2
        for number, half in enumerate((vectors[:2_000], vectors[2_000:]))
        for item in fill(database, half, 1 + number)
    }
    store = copied(database, postgres)
    exact = SqliteVectors(database, ITEMS)
    for groups in ([1, 2], [2]):
        shares = []
        for query in queries:
            found = store.nearest("m", query.tobytes(), groups, 10)
            wanted = exact.nearest("m", query.tobytes(), groups, 10)
            assert {books[item] for item in found} <= set(groups)
            shares.append(len(found.keys() & wanted.keys()) / 10)
        assert np.mean(shares) > 0.95
    of_all = exact.spread("m", queries[0].tobytes(), [1, 2])
    without_rows(database)()
    assert store.spread("m", queries[0].tobytes(), [1, 2]) == pytest.approx(of_all, rel=0.25)


def test_a_database_put_back_from_a_backup_gets_a_new_copy(database: Database, postgres: str) -> None:
    items = fill(database, some(20))
    copied(database, postgres)
    with database.write() as connection:  # the same numbers, of other changes
        connection.execute("UPDATE page_vector_change SET item = item + 1000")
        connection.execute("DELETE FROM page WHERE id = ?", (items[0],))
        connection.execute("DELETE FROM page_vector_change WHERE number > 20")
    fill(database, some(3, seed=4))

    again = copied(database, postgres)
    assert items[0] not in again.nearest("m", some(20)[0].tobytes(), [1], -1)
    assert len(again.nearest("m", some(20)[0].tobytes(), [1], -1)) == 22


def test_a_table_that_somebody_dropped_is_made_anew(
    database: Database, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pygent_shared.vectors.postgres.RETRY_SECONDS", 0.0)
    items = fill(database, some(20))
    store = copied(database, postgres)
    with psycopg.connect(postgres) as connection:
        connection.execute(f"DROP TABLE pygent_vectors_{max(tables(postgres))}")
    query = some(20)[5].tobytes()
    assert next(iter(store.nearest("m", query, [1], 3))) == items[5]
    store.nearest("m", query, [1], 3)
    assert store.wait("m", 60)
    without_rows(database)()
    assert next(iter(store.nearest("m", query, [1], 3))) == items[5]


def test_while_it_is_gone_the_database_answers_and_then_it_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (bin := programs()) is None:
        pytest.skip("needs pip install 'pygent-factory[postgres,test]'")
    items = fill(database, some(20))
    query = some(20)[5].tobytes()
    with running(bin) as url:
        store = copied(database, url)
    exact = SqliteVectors(database, ITEMS).nearest("m", query, [1], 5)
    assert next(iter(exact)) == items[5]
    for _ in range(2):
        assert store.nearest("m", query, [1], 5) == exact
    assert store.spread("m", query, [1]) > 0
    fill(database, some(1, seed=2))
    monkeypatch.setattr(postgres, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(store, "_left_alone_until", 0.0)
    with running(bin) as url:
        monkeypatch.setattr(store, "_url", url)
        store.nearest("m", query, [1], 5)
        assert store.wait("m", 60)
        without_rows(database)()
        assert next(iter(store.nearest("m", query, [1], 5))) == items[5]


@pytest.fixture
def bare(postgres: str) -> str:
    """The URL of a new database there, with a guest who may do nothing."""
    name = f"bare_{uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute(f"CREATE ROLE {name} LOGIN")
    return postgres.replace("/postgres?", f"/{name}?")


def test_an_extension_that_is_missing_is_named_with_what_installs_it(bare: str) -> None:
    with pytest.raises(DatabaseUnusable, match=r"has no pgvector \(.*apt install postgresql-17-pgvector"):
        opened(f"{bare}&options=-c%20extension_control_path%3D/nowhere")


def test_a_user_who_may_not_add_it_or_make_tables_is_told_who_may(bare: str) -> None:
    name = bare.partition("?")[0].rpartition("/")[2]
    guest = bare.replace("//postgres@", f"//{name}@")
    with pytest.raises(DatabaseUnusable, match="administrator of it run: CREATE EXTENSION vector"):
        opened(guest)
    with psycopg.connect(bare, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    with pytest.raises(DatabaseUnusable, match="GRANT CREATE ON SCHEMA public"):
        opened(guest)
    with psycopg.connect(bare, autocommit=True) as connection:
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {name}")
    with closing(opened(guest)) as connection:
        assert connection.execute("SELECT count(*) FROM pygent_vectors").fetchone() == (0,)


def test_many_may_open_a_new_one_at_the_same_moment(bare: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for connection in pool.map(opened, [bare] * 8):
            connection.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            "postgresql://me:hush@127.0.0.1:9/notes",
            'The database "postgresql://127.0.0.1/notes" cannot be reached',
        ),
        ("mysql://me:hush@127.0.0.1/notes", "PYGENT_POSTGRES_URL"),
        ("postgresql://me:hu/sh@127.0.0.1:x/notes", "PYGENT_POSTGRES_URL"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_in_a_sentence_without_its_password(
    database: Database, url: str, why: str
) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        open_vectors(database, ITEMS, Settings(vectors="pgvector", postgres_url=url).vector_index)
    assert why in str(refused.value)
    assert "hu" not in str(refused.value)
    assert "PYGENT_POSTGRES_URL" in str(refused.value)


def test_without_its_package_it_is_named_with_what_installs_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'pygent-factory\[postgres\]'"):
        open_vectors(database, ITEMS, Settings(vectors="pgvector").vector_index)


def test_vectors_too_long_for_a_graph_are_compared_one_by_one(database: Database, postgres: str) -> None:
    wide = np.eye(8, 4_096, dtype="<f4") + np.float32(1e-3)
    items = fill(database, wide)
    store = copied(database, postgres, 4_096)
    without_rows(database)()
    assert list(store.nearest("m", wide[6].tobytes(), [1], 1)) == [items[6]]
