from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import apsw
import pytest

from pygent_shared.database import Database, damage, unusable
from pygent_shared.errors import DatabaseUnusable

SCHEMA = [
    "CREATE TABLE shelf (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE book (id INTEGER PRIMARY KEY, shelf INTEGER NOT NULL REFERENCES shelf(id));",
    "ALTER TABLE book ADD COLUMN title TEXT NOT NULL DEFAULT '';",
]

IMPORTS = """
import sys
from pathlib import Path
from pygent_shared.database import Database
path = Path(sys.argv[1])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "books.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path, SCHEMA)
    yield opened
    opened.close()


@pytest.fixture
def together(environ: dict[str, str], path: Path) -> Callable[[str, int], list[str]]:
    """Run a script in several processes that all begin at the same moment; what each printed."""

    def run(source: str, count: int) -> list[str]:
        waits = f"{IMPORTS}print(flush=True); sys.stdin.readline()\n{source}"
        command = [sys.executable, "-W", "error", "-c", waits, str(path)]
        processes = [
            Popen(command, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) for _ in range(count)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=60) for process in processes]
        assert [err for _, err in ended] == [""] * count
        return [out for out, _ in ended]

    return run


def test_a_new_file_is_made_with_its_folder_in_wal_mode_and_fully_synchronous(
    database: Database, path: Path
) -> None:
    assert path.exists()
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(2,)]
    assert database.query("PRAGMA secure_delete") == [(1,)]
    assert database.query("PRAGMA busy_timeout") == [(30_000,)]


def test_sqlite_vec_is_loaded_and_no_statement_may_load_another_extension(database: Database) -> None:
    assert database.query("SELECT vec_distance_cosine('[1, 0]', '[0, 1]')") == [(1.0,)]
    with pytest.raises(DatabaseUnusable, match="not authorized"):
        database.query("SELECT load_extension('anything')")


def test_the_sqlite_is_newer_than_the_wal_reset_bug() -> None:
    assert tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) > (3, 51, 2)


def test_foreign_keys_are_enforced_in_every_thread(database: Database) -> None:
    complaints: list[str] = []

    def orphan() -> None:
        try:
            with database.write() as connection:
                connection.execute("INSERT INTO book (shelf) VALUES (99)")
        except DatabaseUnusable as error:
            complaints.append(str(error))

    orphan()
    thread = threading.Thread(target=orphan)
    thread.start()
    thread.join()

    assert ["FOREIGN KEY" in complaint for complaint in complaints] == [True, True]
    assert database.query("SELECT count(*) FROM book") == [(0,)]


def test_a_block_that_raises_leaves_nothing_behind(database: Database) -> None:
    def interrupted() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO shelf (name) VALUES ('poems')")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        interrupted()

    assert database.query("SELECT * FROM shelf") == []
    with database.write() as connection:
        connection.execute("INSERT INTO shelf (name) VALUES ('plays')")
    assert database.query("SELECT name FROM shelf") == [("plays",)]


def test_an_error_of_the_block_itself_is_not_blamed_on_the_database(database: Database) -> None:
    with pytest.raises(FileNotFoundError), database.write():
        Path("/no/such/file").read_text()


def test_a_write_holds_the_lock_from_its_first_moment(database: Database, path: Path) -> None:
    other = apsw.Connection(str(path))
    with database.write():
        with pytest.raises(apsw.BusyError):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE; ROLLBACK")
    other.close()


def test_processes_that_write_at_once_lose_nothing(
    database: Database, together: Callable[[str, int], list[str]]
) -> None:
    adds = """
database = Database(path, ["", ""])
for _ in range(50):
    with database.write() as connection:
        (highest,) = connection.execute("SELECT coalesce(max(id), 0) FROM shelf").fetchone()
        connection.execute("INSERT INTO shelf (id, name) VALUES (?, ?)", (highest + 1, f"s{highest + 1}"))
"""
    together(adds, 2)

    assert database.query("SELECT count(*), max(id) FROM shelf") == [(100, 100)]


def test_processes_that_make_the_same_file_at_once_migrate_it_once(
    path: Path, together: Callable[[str, int], list[str]]
) -> None:
    opens = f"""
database = Database(path, {SCHEMA!r})
print(database.query("PRAGMA user_version")[0][0], database.query("PRAGMA journal_mode")[0][0])
"""
    assert together(opens, 6) == ["2 wal\n"] * 6
    assert damage(path) == []


def test_migrations_run_once_and_in_order_from_the_version_the_file_has(path: Path) -> None:
    Database(path, SCHEMA[:1]).close()
    first = Database(path, SCHEMA)
    with first.write() as connection:
        connection.execute("INSERT INTO shelf VALUES (1, 'poems'); INSERT INTO book VALUES (1, 1, 'Odes')")
    first.close()

    again = Database(path, SCHEMA)
    assert again.query("SELECT title FROM book") == [("Odes",)]
    assert again.query("PRAGMA user_version") == [(2,)]
    again.close()


def test_every_statement_of_a_migration_runs_also_after_one_that_gives_rows(path: Path) -> None:
    database = Database(
        path, ["CREATE TABLE one (a); SELECT 1; CREATE TABLE two (b); INSERT INTO two VALUES (5)"]
    )

    assert database.query("SELECT b FROM two") == [(5,)]
    database.close()


def test_a_migration_that_fails_takes_the_earlier_ones_back(path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="refused a statement"):
        Database(path, [*SCHEMA, "CREATE NONSENSE"])

    fresh = Database(path, SCHEMA)
    assert fresh.query("SELECT count(*) FROM shelf") == [(0,)]
    fresh.close()


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_was(path: Path) -> None:
    Database(path, SCHEMA).close()
    before = path.read_bytes()

    with pytest.raises(DatabaseUnusable, match=r"newer version \(its schema is 2, this program knows 1\)"):
        Database(path, SCHEMA[:1])

    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"short", b"no database at all\n" * 500, os.urandom(9000)])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(DatabaseUnusable) as caught:
        Database(path, SCHEMA)

    assert str(caught.value) == (
        f'The database "{path}" is damaged (file is not a database). It was left untouched. '
        f'Set it aside and start afresh: mv "{path}" "{path}.damaged"'
    )
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["books.db"]


def test_a_damaged_page_costs_the_statement_that_meets_it_and_changes_nothing(path: Path) -> None:
    database = Database(path, SCHEMA)
    with database.write() as connection:
        connection.execute("INSERT INTO shelf VALUES (1, 'poems')")
    assert damage(path) == []
    database.close()
    size = len(path.read_bytes())
    with path.open("r+b") as file:
        file.seek(4096)  # past the schema: the first page of the first table
        file.write(b"\xff" * (size - 4096))
    before = path.read_bytes()

    damaged = Database(path, SCHEMA)
    with pytest.raises(DatabaseUnusable, match="is damaged"):
        damaged.query("SELECT * FROM shelf")
    damaged.close()
    assert damage(path)
    assert path.read_bytes() == before


def test_damage_is_looked_for_without_making_or_changing_a_file(path: Path) -> None:
    assert damage(path) == ["unable to open database file"]
    assert not path.parent.exists()

    database = Database(path, SCHEMA)
    assert damage(path) == []
    assert path.with_name("books.db-wal").exists()
    database.close()
    before = path.read_bytes()
    assert damage(path) == []
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["books.db"]


def test_a_path_below_a_regular_file_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for inside in ("file/books.db", "file/deeper/books.db"):
        with pytest.raises(DatabaseUnusable) as caught:
            Database(tmp_path / inside, SCHEMA)
        assert str(caught.value).endswith("or choose another one: export PYGENT_DATA_DIR=~/pygent-data")
        assert "Errno" not in str(caught.value)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="cannot be opened for writing"):
        Database(tmp_path, SCHEMA)


def test_a_process_killed_in_a_transaction_leaves_the_file_as_before_it(
    path: Path, environ: dict[str, str]
) -> None:
    database = Database(path, SCHEMA)
    with database.write() as connection:
        connection.execute("INSERT INTO shelf VALUES (1, 'poems')")
    writes = f"""{IMPORTS}
database = Database(path, ["", ""])
with database.write() as connection:
    connection.execute("PRAGMA cache_spill = 1; PRAGMA cache_size = 1")
    connection.executemany("INSERT INTO shelf (name) VALUES (?)", [(f"{{n:0>500}}",) for n in range(5000)])
    print("written", flush=True)
    sys.stdin.readline()
"""
    command = [sys.executable, "-c", writes, str(path)]
    with Popen(command, env=environ, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

    assert path.with_name("books.db-wal").stat().st_size > 1_000_000  # it had begun to reach the disk
    assert database.query("SELECT name FROM shelf") == [("poems",)]
    with database.write() as connection:
        connection.execute("INSERT INTO shelf (name) VALUES ('plays')")
    assert database.check() == []
    database.close()
    assert damage(path) == []


def test_after_a_write_that_need_not_be_durable_writes_are_durable_again(database: Database) -> None:
    with database.write(durable=False) as connection:
        connection.execute("INSERT INTO shelf (name) VALUES ('plays')")
        assert connection.pragma("synchronous") == 1
    assert database.query("PRAGMA synchronous") == [(2,)]


def test_a_flush_writes_only_after_a_write_that_need_not_be_durable(database: Database) -> None:
    log = database.path.with_name(f"{database.path.name}-wal")
    with database.write(durable=False) as connection:
        connection.execute("INSERT INTO shelf (name) VALUES ('plays')")
    sizes = [log.stat().st_size]
    for _ in range(2):
        database.flush()
        sizes.append(log.stat().st_size)
    assert sizes[0] < sizes[1] == sizes[2]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux lists them")
def test_the_connections_of_ended_threads_are_closed(database: Database) -> None:
    database.query("SELECT 1")
    before = open_files()
    for _ in range(30):
        thread = threading.Thread(target=database.query, args=("SELECT 1",))
        thread.start()
        thread.join()

    assert open_files() <= before + 3


def test_threads_share_the_data(database: Database) -> None:
    def add(name: str) -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO shelf (name) VALUES (?)", (name,))

    threads = [threading.Thread(target=add, args=(f"s{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert database.query("SELECT count(*) FROM shelf") == [(20,)]


def test_after_close_no_thread_can_use_it_or_open_it_anew(database: Database) -> None:
    database.query("SELECT 1")
    database.close()
    complaints: list[str] = []

    def use() -> None:
        try:
            database.query("SELECT 1")
        except DatabaseUnusable as error:
            complaints.append(str(error))

    use()
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert ["closed" in complaint for complaint in complaints] == [True, True]


def test_close_does_not_disturb_a_statement_in_another_thread(path: Path) -> None:
    database = Database(path, SCHEMA)
    begun, go_on = threading.Event(), threading.Event()
    found: list[Any] = []

    def pause() -> int:
        begun.set()
        go_on.wait(20)
        return 7

    def read() -> None:
        database.read().create_scalar_function("pause", pause)
        found.extend(database.query("SELECT pause()"))

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait(20)
    database.close()
    go_on.set()
    thread.join(20)

    assert found == [(7,)]


APSW_ERRORS = [
    kind for kind in vars(apsw).values() if isinstance(kind, type) and issubclass(kind, apsw.Error)
]


@pytest.mark.parametrize("kind", [*APSW_ERRORS, PermissionError], ids=lambda kind: kind.__name__)
def test_every_error_of_the_driver_becomes_a_sentence(kind: type[apsw.Error | OSError]) -> None:
    sentence = str(
        unusable(Path("/a/b.db"), kind(13, "no reason") if kind is PermissionError else kind("why"))
    )

    assert sentence.startswith('The database "/a/b.db" ')
    assert all(part for part in sentence.split(". "))


def test_the_kinds_of_failure_are_told_apart() -> None:
    kinds = [apsw.CorruptError, apsw.CantOpenError, apsw.BusyError, apsw.FullError, apsw.SQLError]
    sentences = [str(unusable(Path("/a"), kind("why"))) for kind in kinds]
    expected = [
        "is damaged",
        "cannot be opened",
        "stayed locked",
        "could not be written",
        "refused a statement",
    ]

    assert all(words in sentence for words, sentence in zip(expected, sentences, strict=True))
    assert all(first != second for first, second in pairwise(sentences))


def test_triggers_call_the_functions_that_the_database_was_opened_with(path: Path) -> None:
    loud = (
        "CREATE TABLE sign (text TEXT, loud TEXT); CREATE TRIGGER louder AFTER INSERT ON sign BEGIN "
        "UPDATE sign SET loud = shouted(text) WHERE rowid = new.rowid; END;"
    )
    opened = Database(path, [loud], {"shouted": str.upper})
    with opened.write() as connection:
        connection.execute("INSERT INTO sign (text) VALUES ('mind the step')")
    assert opened.query("SELECT loud FROM sign") == [("MIND THE STEP",)]
    opened.close()
