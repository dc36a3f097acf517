"""Files into a collection: only changes are read, bad files cost only themselves, nothing stored is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pygent_rag.ingest import FileReport, unwatched
from pygent_rag.library import Library, open_library
from pygent_rag.sources import named
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.database import Database
from pygent_shared.errors import FileRefused, InvalidArgument
from pygent_shared.settings import Settings

NOBODY = 65534

CHILD = """
import sys
from pathlib import Path
from pygent_rag.ingest import unwatched
from pygent_rag.library import open_library
from pygent_shared.settings import Settings

library = open_library(Settings(data_dir=Path(sys.argv[1]), embedder="none"))
for report in library.ingest("notes", sys.argv[2], unwatched):
    print(report.outcome, flush=True)
library.close()
"""


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    opened = open_library(settings)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "one.md").write_text("# One\n\nThe first note is about tides.\n")
    (made / "deep" / "two.txt").write_text("The second note is about gulls.\n")
    (made / "deep" / "er" / "three.html").write_text("<h1>Three</h1><p>The third is about mud.</p>")
    return made


def took_in(library: Library, path: Path) -> dict[str, FileReport]:
    return {Path(report.path).name: report for report in library.ingest("notes", str(path), unwatched)}


def outcomes(library: Library, path: Path) -> dict[str, str]:
    return {name: report.outcome for name, report in took_in(library, path).items()}


def database(library: Library) -> Database:
    assert isinstance(library.store, SqliteStore)
    return library.store.database


def chunk_ids(library: Library) -> list[int]:
    rows = database(library).query("SELECT id FROM chunk ORDER BY id")
    return [int(str(id)) for (id,) in rows]


def assert_consistent(database: Database) -> None:
    """The file is sound, each chunk is what its document says, and the index has each chunk once."""
    assert database.check() == []
    assert database.query(
        "SELECT count(*) FROM chunk AS c JOIN document AS d ON d.id = c.document "
        "WHERE c.text <> substr(d.text, c.char_start + 1, c.char_end - c.char_start)"
    ) == [(0,)]
    assert database.query("SELECT count(*) FROM chunk WHERE document NOT IN (SELECT id FROM document)") == [
        (0,)
    ]
    assert database.query("SELECT id FROM chunk_fts_docsize ORDER BY id") == database.query(
        "SELECT id FROM chunk ORDER BY id"
    )


def test_ingesting_again_reads_only_what_changed(library: Library, folder: Path) -> None:
    assert outcomes(library, folder) == {"one.md": "added", "two.txt": "added", "three.html": "added"}
    before = chunk_ids(library)
    assert set(outcomes(library, folder).values()) == {"unchanged"}
    assert chunk_ids(library) == before

    (folder / "one.md").write_text("# One\n\nThe first note is about currents.\n")
    (folder / "deep" / "two.txt").unlink()
    (folder / "four.md").write_text("The fourth.\n")
    assert outcomes(library, folder) == {
        "one.md": "updated",
        "two.txt": "removed",
        "three.html": "unchanged",
        "four.md": "added",
    }
    assert len(set(before) & set(chunk_ids(library))) == 1
    assert_consistent(database(library))
    assert library.search("gulls", "", 5, 500, 0).passages == []
    assert (
        library.search("currents", "", 5, 500, 0).passages[0][0].text == "The first note is about currents."
    )


def test_a_settled_file_is_not_even_opened(library: Library, folder: Path) -> None:
    # With its size and time as noted, other bytes go unnoticed: so it was not read.
    note = folder / "one.md"
    os.utime(note, (1, 1))
    took_in(library, note)
    text = note.read_text()
    note.write_text(text.replace("tides", "TIDES"))
    os.utime(note, (1, 1))
    assert outcomes(library, note) == {"one.md": "unchanged"}
    os.utime(note, (2, 2))
    assert outcomes(library, note) == {"one.md": "updated"}


def test_a_file_that_was_only_touched_is_unchanged(library: Library, folder: Path) -> None:
    took_in(library, folder)
    before = chunk_ids(library)
    os.utime(folder / "one.md", (1, 1))
    assert outcomes(library, folder)["one.md"] == "unchanged"
    assert chunk_ids(library) == before


def test_documents_of_other_folders_and_collections_stay(
    library: Library, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "docs-too"  # its path begins like the folder's
    other.mkdir()
    (other / "five.md").write_text("The fifth.\n")
    took_in(library, other)
    (other / "five.md").unlink()
    list(library.ingest("elsewhere", str(folder), unwatched))
    (folder / "one.md").unlink()
    took_in(library, folder)
    assert [row.documents for row in library.store.collections()] == [3, 3]


def test_one_bad_file_costs_only_itself(library: Library, folder: Path, tmp_path: Path) -> None:
    (folder / "binary.md").write_bytes(b"\x7fELF\0\0\0")
    (folder / "latin.txt").write_bytes("Die Flut war höher als üblich.".encode("cp1252"))
    (folder / "cut.pdf").write_bytes(b"%PDF-1.7\n1 0 obj")
    (folder / "empty.txt").touch()
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(200_000_000)
    os.mkfifo(folder / "pipe.md")
    (folder / "loop").symlink_to(folder)
    (folder / "self.md").symlink_to("self.md")
    (folder / "out.md").symlink_to(tmp_path / "secret.md")
    (tmp_path / "secret.md").write_text("secret")
    (folder / ".git").mkdir()
    (folder / ".git" / "hidden.md").write_text("hidden")
    (folder / ".hidden.md").write_text("hidden")
    (folder / "picture.png").write_bytes(b"PNG")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.md")).write_text("no name")
    found = took_in(library, folder)
    assert Counter(report.outcome for report in found.values()) == {"added": 4, "refused": 9, "skipped": 1}
    assert found["latin.txt"].decoded == "cp1252"
    reasons = {
        "binary.md": "holds NUL bytes",
        "cut.pdf": "not a whole PDF",
        "empty.txt": "has no text",
        "huge.txt": "has 200 MB; files up to 50 MB are read. Split it, or allow more: export PYGENT_MAX_",
        "pipe.md": "not a regular file",
        "loop": f"links inside a folder are not followed. Ingest what it leads to: {folder}",
        "self.md": "is a link",
        "out.md": "is a link",
        r"\udcff.md": "characters that are no text",
    }
    for name, why in reasons.items():
        assert why in found[name].why


def test_a_folder_without_documents_makes_an_empty_collection(library: Library, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert took_in(library, tmp_path / "empty") == {}
    assert library.search("tide", "notes", 5, 500, 0).searched == 0


def test_a_file_that_became_unreadable_keeps_its_stored_version(library: Library, folder: Path) -> None:
    took_in(library, folder)
    (folder / "one.md").write_bytes(b"\0\0")
    report = took_in(library, folder)["one.md"]
    assert report.outcome == "refused"
    assert report.why.endswith("What was stored of it is kept.")
    with pytest.raises(FileRefused, match="What was stored of it is kept"):
        took_in(library, folder / "one.md")
    assert library.search("tides", "", 5, 500, 0).passages


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Permissions do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_permission_costs_only_itself_and_loses_nothing() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        open_folder, closed = Path(made) / "docs", Path(made) / "docs" / "closed"
        Path(made).chmod(0o755)
        closed.mkdir(parents=True)
        (open_folder / "one.md").write_text("The first.\n")
        (closed / "two.md").write_text("The second.\n")
        library = open_library(Settings(data_dir=Path(made) / "data", embedder="none"))
        took_in(library, open_folder)
        closed.chmod(0)
        with as_ordinary_user():
            found = took_in(library, open_folder)
            with pytest.raises(FileRefused, match="may not be read by the user this server runs as"):
                took_in(library, closed)
            with pytest.raises(FileRefused, match="may not be read by the user this server runs as"):
                named(str(closed / "two.md"))
        assert {name: report.outcome for name, report in found.items()} == {
            "one.md": "unchanged",
            "closed": "refused",
        }
        assert found["closed"].why.endswith("What was stored of it is kept.")
        assert [row.documents for row in library.store.collections()] == [2]
        closed.chmod(0o700)
        library.close()


@pytest.mark.parametrize(
    ("path", "error", "why"),
    [
        ("", InvalidArgument, "is empty"),
        ("a\0b", InvalidArgument, "no text"),
        ("/dev/zero", FileRefused, "not a regular file"),
        ("/dev/null/x.md", FileRefused, "does not exist"),
        ("{tmp}/missing.md", FileRefused, "does not exist"),
        ("{tmp}/dangling.md", FileRefused, "does not exist"),
        ("{tmp}/circle", FileRefused, "Too many levels of symbolic links"),
    ],
)
def test_a_path_that_cannot_be_ingested_is_refused_in_a_sentence(
    library: Library, tmp_path: Path, path: str, error: type[Exception], why: str
) -> None:
    (tmp_path / "dangling.md").symlink_to("nowhere.md")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(error, match=why):
        list(library.ingest("notes", path.format(tmp=tmp_path), unwatched))


def test_an_ingestion_ended_between_two_files_leaves_whole_documents(library: Library, folder: Path) -> None:
    def enough(done: int, total: int, path: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(library.ingest("notes", str(folder), enough))
    assert [row.documents for row in library.store.collections()] == [2]
    assert Counter(outcomes(library, folder).values()) == {"unchanged": 2, "added": 1}


def test_an_ingestion_ended_in_the_middle_of_a_file_leaves_nothing_of_it(
    library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "long.md"
    path.write_text("# Tide\n\nIt rose.\n\n" * 3000)
    looks = 0

    def enough(done: int, total: int, path: str) -> None:
        nonlocal looks
        looks += total == 0
        if looks == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(library.ingest("notes", str(path), enough))
    assert [row.documents for row in library.store.collections()] == []
    assert_consistent(database(library))
    assert outcomes(library, path) == {"long.md": "added"}
    assert [row.chunks for row in library.store.collections()] == [3000]


def test_documents_of_an_older_recipe_are_read_anew(library: Library, folder: Path) -> None:
    took_in(library, folder)
    with database(library).write() as connection:
        connection.execute("UPDATE document SET recipe = recipe - 1")
    assert set(outcomes(library, folder).values()) == {"updated"}


def many(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.md").write_text(
            f"# Note {number}\n\n" + f"Sentence about tide {number}. " * 40
        )
    return folder


def child(data: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(data), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_ingest_the_same_folder_at_once(
    library: Library, settings: Settings, tmp_path: Path
) -> None:
    folder = many(tmp_path / "many", 40)
    children = [child(settings.data_dir, folder) for _ in range(2)]
    for process in children:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert set(output.split()) <= {"added", "unchanged"}
    assert set(outcomes(library, folder).values()) == {"unchanged"}
    assert [row.documents for row in library.store.collections()] == [40]
    assert_consistent(database(library))


@pytest.mark.parametrize("after", [1, 7, 23])
def test_a_killed_ingestion_leaves_a_sound_database_and_the_next_one_finishes(
    settings: Settings, tmp_path: Path, after: int
) -> None:
    folder = many(tmp_path / "many", 60)
    process = child(settings.data_dir, folder)
    assert process.stdout is not None
    for _ in range(after):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)

    library = open_library(settings)
    assert_consistent(database(library))
    found = Counter(outcomes(library, folder).values())
    assert found["unchanged"] >= after
    assert found["unchanged"] + found["added"] == 60
    assert found["added"] > 0
    assert_consistent(database(library))
    library.close()
