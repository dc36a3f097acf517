"""Whatever ends an ingestion, however many processes use one database: nothing stored is lost or wrong."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pygent_rag.ingest import unwatched
from pygent_rag.library import Library
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder

FILES = 80

COMMON = """
import json, random, sys, time
from pathlib import Path
from pygent_rag.ingest import unwatched
from pygent_rag.library import Library
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder

data = Path(sys.argv[1])
embedder = BackgroundEmbedder.loaded(ScriptedEmbedder({"tide": 0, "gull": 1, "weir": 2}))
library = Library(SqliteStore(data / "rag.db"), embedder, Settings(data_dir=data, embedder="none"))
"""

INGESTS = f"""{COMMON}
for report in library.ingest("notes", sys.argv[2], unwatched):
    print(report.outcome, flush=True)
library.settle(60)
print("settled", flush=True)
"""

READS = f"""{COMMON}
until, searches = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < until:
    found = library.search(random.choice(["tide", "gull", "weir"]), "", 10, 2000, 0)
    assert all(passage.text for passage, _ in found.passages)
    searches += 1
library.close()
print(json.dumps([searches]))
"""

WRITES = f"""{COMMON}
folder, until, rounds = Path(sys.argv[3]), time.monotonic() + float(sys.argv[2]), 0
name = folder.name
while time.monotonic() < until or not rounds:
    rounds += 1
    for number in range(12):
        words = f"The tide at the weir {{number}} of {{name}} in round {{rounds}}."
        text = f"# Note {{number}}\\n\\n{{words}}\\n\\n## Birds\\n\\nA gull {{number}}.\\n"
        (folder / f"{{number}}.md").write_text(text)
    text = f"# Kept {{rounds}}\\n\\nThe gull {{rounds}} of {{name}} stays.\\n"
    (folder / f"kept-{{rounds}}.md").write_text(text)
    outcomes = [report.outcome for report in library.ingest(name, str(folder), unwatched)]
    assert "refused" not in outcomes, outcomes
assert library.settle(60)
library.close()
print(json.dumps([rounds]))
"""

# Each gives what must not be: rows that contradict others.
INVARIANTS = {
    "a chunk that is not what its document says": "SELECT c.id FROM chunk AS c JOIN document AS d "
    "ON d.id = c.document WHERE c.text <> substr(d.text, c.char_start + 1, c.char_end - c.char_start)",
    "a chunk without a document": "SELECT id FROM chunk WHERE document NOT IN (SELECT id FROM document)",
    "a chunk in another collection than its document": "SELECT c.id FROM chunk AS c JOIN document AS d "
    "ON d.id = c.document WHERE c.collection <> d.collection",
    "a document without its chunks": "SELECT id FROM document WHERE id NOT IN (SELECT document FROM chunk)",
    "positions that are not 0, 1, 2 …": "SELECT document FROM chunk GROUP BY document "
    "HAVING count(*) <> max(position) + 1 OR count(DISTINCT position) <> count(*)",
    "a chunk that the index lacks": "SELECT id FROM chunk EXCEPT SELECT id FROM chunk_fts_docsize",
    "an entry of the index without a chunk": "SELECT id FROM chunk_fts_docsize EXCEPT SELECT id FROM chunk",
    "a vector without a chunk": "SELECT item FROM chunk_vector WHERE item NOT IN (SELECT id FROM chunk)",
    "a vector of the wrong size": "SELECT item FROM chunk_vector WHERE length(vector) <> 4 * 8",
    "one text with and without a vector": "SELECT digest FROM chunk LEFT JOIN chunk_vector ON item = id "
    "GROUP BY digest HAVING count(item) NOT IN (0, count(*))",
    "a document twice": "SELECT path FROM document GROUP BY collection, path HAVING count(*) > 1",
}


def assert_consistent(database: Database) -> None:
    assert database.check() == []
    for what, found in INVARIANTS.items():
        assert database.query(found) == [], what


def opened(data: Path) -> Library:
    embedder = BackgroundEmbedder.loaded(ScriptedEmbedder({"tide": 0, "gull": 1, "weir": 2}))
    return Library(SqliteStore(data / "rag.db"), embedder, Settings(data_dir=data, embedder="none"))


def database(library: Library) -> Database:
    assert isinstance(library.store, SqliteStore)
    return library.store.database


def child(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    for number in range(FILES):
        parts = (f"## Part {part}\n\nThe tide {number} of {part}. Same words." for part in range(6))
        (made / f"{number:03}.md").write_text(f"# Note {number}\n\n" + "\n\n".join(parts) + "\n")
    return made


def seconds_of_ingestion(data: Path, folder: Path) -> tuple[float, float]:
    """When the first line of a whole ingestion comes, and when it has settled."""
    began = time.monotonic()
    process = child(INGESTS, data, folder)
    assert process.stdout is not None
    process.stdout.readline()
    first = time.monotonic() - began
    process.communicate(timeout=120)
    return first, time.monotonic() - began


def killed_at(moment: float, data: Path, folder: Path) -> None:
    """Start an ingestion, kill it at a moment after its first line, and look at what it leaves."""
    process = child(INGESTS, data, folder)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)

    library = opened(data)
    assert_consistent(database(library))
    assert library.search("tide", "", 3, 500, 0).searched > 0
    outcomes = Counter(report.outcome for report in library.sync("notes", unwatched))
    assert outcomes["unchanged"] + outcomes["added"] + outcomes["updated"] == FILES
    assert outcomes["unchanged"] >= 1
    assert library.settle(60)
    assert_consistent(database(library))
    assert database(library).query("SELECT count(*) FROM chunk") == [(6 * FILES,)]
    assert database(library).query("SELECT count(*) FROM chunk_vector") == [(6 * FILES,)]
    library.close()


def kill_at_random_points(points: int, tmp_path: Path, folder: Path, seed: int) -> None:
    chosen = random.Random(seed)
    first, whole = seconds_of_ingestion(tmp_path / "measured", folder)
    for point in range(points):
        data = tmp_path / f"data{point}"
        if point % 2:  # every second one: files changed since they were read
            library = opened(data)
            list(library.ingest("notes", str(folder), unwatched))
            library.close()
            for path in folder.iterdir():
                lines = path.read_text().splitlines()
                path.write_text("\n".join([*lines[:-1], f"The tide came anew, {point}."]) + "\n")
        killed_at(chosen.uniform(0, max(0.05, whole - first)), data, folder)


def test_a_killed_ingestion_leaves_a_consistent_index_and_sync_finishes_the_rest(
    tmp_path: Path, folder: Path
) -> None:
    kill_at_random_points(6, tmp_path, folder, seed=4)


@pytest.mark.soak
def test_twenty_killed_ingestions_leave_a_consistent_index(tmp_path: Path, folder: Path) -> None:
    kill_at_random_points(20, tmp_path, folder, seed=20)


def share(tmp_path: Path, seconds: float) -> None:
    """Eight readers and two writers for so long, each a process; then all that was written is there."""
    data = tmp_path / "data"
    folders = [tmp_path / "north", tmp_path / "south"]
    for folder in folders:
        folder.mkdir()
        (folder / "first.md").write_text("The tide.\n")
    library = opened(data)
    processes = [child(WRITES, data, seconds, folder) for folder in folders]
    processes += [child(READS, data, seconds) for _ in range(8)]
    results = []
    for process in processes:
        output, errors = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0, errors
        results.append(json.loads(output.splitlines()[-1])[0])
    assert all(results), results
    print(f"{sum(results[:2])} rounds of writing, {sum(results[2:])} searches")
    assert_consistent(database(library))
    for folder, rounds in zip(folders, results, strict=False):
        held = {Path(row.path).name for row in library.store.documents(folder.name, 0, 10_000)}
        assert held == {path.name for path in folder.iterdir()}
        assert len(held) == 12 + rounds + 1
        last = f"of {folder.name} in round {rounds}."
        assert library.search(last, folder.name, 20, 5000, 0).passages
        assert {report.outcome for report in library.sync(folder.name, unwatched)} == {"unchanged"}
    ((chunks,),) = database(library).query("SELECT count(*) FROM chunk")
    assert database(library).query("SELECT count(*) FROM chunk_vector") == [(chunks,)]
    library.close()


def test_eight_readers_and_two_writers_share_a_database(tmp_path: Path) -> None:
    share(tmp_path, 8)


@pytest.mark.soak
def test_eight_readers_and_two_writers_share_a_database_for_a_minute(tmp_path: Path) -> None:
    share(tmp_path, 60)
