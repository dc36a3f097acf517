from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from pygent_shared.backups import FOLDER, KEPT, Backup, back_up, backups_of, surplus
from pygent_shared.database import Database, damage
from pygent_shared.errors import DatabaseUnusable, FileRefused
from pygent_shared.restoring import restore

SCHEMA = ["CREATE TABLE shelf (name TEXT UNIQUE)", "ALTER TABLE shelf ADD COLUMN floor INTEGER"]
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def shelve(path: Path, *names: str, schema: list[str] = SCHEMA) -> None:
    database = Database(path, schema)
    with database.write() as connection:
        connection.executemany("INSERT INTO shelf (name) VALUES (?)", [(name,) for name in names])
    database.close()


def shelves(path: Path) -> list[str]:
    with apsw.Connection(str(path)) as connection:
        return [str(name) for (name,) in connection.execute("SELECT name FROM shelf ORDER BY name")]


def test_a_backup_holds_what_was_written_while_others_read_and_write(path: Path) -> None:
    database = Database(path, SCHEMA)
    names = [f"shelf {number}" for number in range(400)]
    begun = threading.Event()

    def write() -> None:
        for number, name in enumerate(names):
            with database.write() as connection:
                connection.execute("INSERT INTO shelf (name) VALUES (?)", (name,))
            if number == 20:
                begun.set()

    writing = threading.Thread(target=write)
    writing.start()
    assert begun.wait(60)
    made = database.back_up()
    writing.join()
    assert damage(made.path) == []
    assert set(names[:20]) <= set(shelves(made.path)) <= set(names)
    assert (made.version, made.size) == (2, made.path.stat().st_size)
    assert [entry.name for entry in made.path.parent.iterdir()] == [made.path.name]
    database.close()


def test_a_migration_is_preceded_by_a_backup_of_the_old_version_and_a_new_file_by_none(path: Path) -> None:
    Database(path, SCHEMA[:1], backup=True).close()
    assert backups_of(path) == []
    shelve(path, "poems", schema=SCHEMA[:1])
    Database(path, SCHEMA, backup=True).close()
    (made,) = backups_of(path)
    assert (made.version, shelves(made.path)) == (1, ["poems"])
    Database(path, SCHEMA, backup=True).close()
    assert backups_of(path) == [made]


def test_without_room_for_the_backup_nothing_is_migrated(path: Path) -> None:
    shelve(path, "poems", schema=SCHEMA[:1])
    (path.parent / FOLDER).write_text("in the way")
    with pytest.raises(DatabaseUnusable, match="cannot be opened for writing"):
        Database(path, SCHEMA, backup=True)
    (path.parent / FOLDER).unlink()
    with apsw.Connection(str(path)) as connection:
        assert connection.pragma("user_version") == 1


def test_two_backups_within_a_second_are_two_files_newest_first(path: Path) -> None:
    shelve(path, "poems")
    made = [back_up(path, START + timedelta(seconds=second)) for second in (0, 0, 1)]
    assert backups_of(path) == made[::-1]
    assert [backup.path.name for backup in made] == [
        "books-20260501T120000Z-v2.db",
        "books-20260501T120000Z-2-v2.db",
        "books-20260501T120001Z-v2.db",
    ]


def test_seven_are_kept_and_the_only_one_of_an_older_version(path: Path) -> None:
    shelve(path, "poems", schema=SCHEMA[:1])
    old = [back_up(path, START - timedelta(days=day)) for day in (9, 8)]
    shelve(path)
    for day in range(KEPT + 2):
        back_up(path, START + timedelta(days=day))
    kept = backups_of(path)
    assert [backup.version for backup in kept] == [2] * KEPT + [1]
    assert kept[-1] == old[1]
    assert kept[0].at == START + timedelta(days=KEPT + 1)


def test_other_files_in_the_folder_are_no_backups_and_stay(path: Path) -> None:
    shelve(path)
    made = back_up(path)
    for name in ("books.db", "films-20260501T120000Z-v2.db", "books-notes.db", "books-v2.txt"):
        made.path.with_name(name).write_text("mine")
    assert backups_of(path) == [made]


def test_surplus_is_what_is_older_than_the_newest_and_not_the_last_of_its_version() -> None:
    made = [
        Backup(path=Path(str(number)), at=START, number=number, version=version, size=1)
        for number, version in enumerate((3, 3, 2, 2, 1))
    ]
    assert [backup.number for backup in surplus(made, kept=1)] == [1, 3]


def test_restoring_puts_the_backup_in_place_and_keeps_what_was_there(path: Path) -> None:
    shelve(path, "poems")
    made = back_up(path)
    shelve(path, "plays")
    aside = restore(path, made.path, table="shelf", known=2)
    assert aside is not None
    assert shelves(path) == ["poems"]
    assert shelves(aside) == ["plays", "poems"]
    assert made.path.exists()
    assert sorted(entry.name for entry in path.parent.iterdir()) == sorted([FOLDER, path.name, aside.name])


def test_a_database_that_is_in_use_is_not_replaced(path: Path) -> None:
    shelve(path, "poems")
    made = back_up(path)
    database = Database(path, SCHEMA)
    with pytest.raises(DatabaseUnusable, match=r"is in use by another process. End the servers"):
        restore(path, made.path, table="shelf", known=2)
    assert database.query("SELECT name FROM shelf") == [("poems",)]
    database.close()


def test_a_damaged_database_is_replaced_and_kept_with_its_log(path: Path) -> None:
    shelve(path, "poems")
    made = back_up(path)
    path.write_bytes(b"no database at all\n" * 500)
    path.with_name("books.db-wal").write_bytes(b"its log")
    aside = restore(path, made.path, table="shelf", known=2)
    assert aside is not None
    assert aside.read_bytes().startswith(b"no database")
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"its log"
    assert shelves(path) == ["poems"]


def test_a_lost_database_comes_back(path: Path) -> None:
    shelve(path, "poems")
    made = back_up(path)
    path.unlink()
    assert restore(path, made.path, table="shelf", known=2) is None
    assert shelves(path) == ["poems"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.write_bytes(b"no database"), r"is damaged \(file is not a database\)"),
        (lambda file: file.write_bytes(file.read_bytes()[:5000]), "is damaged"),
        (lambda file: file.unlink(), "is no file"),
    ],
)
def test_what_is_no_whole_backup_is_refused_and_nothing_replaced(path: Path, spoil: object, why: str) -> None:
    shelve(path, "poems")
    made = back_up(path)
    shelve(path, "plays")
    assert callable(spoil)
    spoil(made.path)
    with pytest.raises(FileRefused, match=why):
        restore(path, made.path, table="shelf", known=2)
    assert shelves(path) == ["plays", "poems"]


def test_a_backup_of_something_else_or_of_a_newer_version_is_refused(path: Path) -> None:
    shelve(path, "poems")
    made = back_up(path)
    with pytest.raises(FileRefused, match=r'another kind of database: it has no "film"'):
        restore(path, made.path, table="film", known=2)
    with pytest.raises(FileRefused, match="was written by a newer version"):
        restore(path, made.path, table="shelf", known=1)
