from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pygent_shared.database import Database
from pygent_shared.embeddings import ENGINES
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import ScriptedEmbedder
from pygent_shared.vectors.backlog import BATCH, Backlog
from pygent_shared.vectors.sqlite_vec import Items, SqliteVectors

ITEMS = Items(table="note", text="body", group="space")
SCHEMA = [f"CREATE TABLE note (id INTEGER PRIMARY KEY, space INTEGER, body TEXT);{ITEMS.schema}"]


class Notes:
    def __init__(self, path: Path) -> None:
        self.database = Database(path, SCHEMA)
        self.vectors = SqliteVectors(self.database, ITEMS)

    def add(self, count: int, text: str = "a cat") -> None:
        with self.database.write() as connection:
            texts = [(f"{text} {number}",) for number in range(count)]
            connection.executemany("INSERT INTO note (space, body) VALUES (1, ?)", texts)

    def with_a_vector(self) -> int:
        ((count,),) = self.database.query("SELECT count(*) FROM note_vector")
        return int(str(count))


class Gated(ScriptedEmbedder):
    """Waits at every batch until it may go on; fails at a text that says so."""

    def __init__(self) -> None:
        super().__init__({"cat": 0})
        self.batches: list[int] = []
        self.entered, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def embed(self, texts: Any) -> list[bytes]:
        self.entered.release()
        assert self.go_on.acquire(timeout=20)
        if any("fail" in text for text in texts):
            raise ArithmeticError("of a class nobody foresaw")
        self.batches.append(len(texts))
        return super().embed(texts)


Made = Callable[[BackgroundEmbedder], Backlog]


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    opened = Notes(tmp_path / "notes.db")
    yield opened
    opened.database.close()


@pytest.fixture
def backlog(notes: Notes) -> Iterator[Made]:
    made: list[Backlog] = []

    def make(embedder: BackgroundEmbedder) -> Backlog:
        made.append(Backlog(notes.vectors, embedder))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ready(embedder: Any = None) -> BackgroundEmbedder:
    return BackgroundEmbedder.loaded(embedder or ScriptedEmbedder({"cat": 0}))


def test_everything_gets_a_vector_also_what_is_more_than_a_batch(notes: Notes, backlog: Made) -> None:
    notes.add(2 * BATCH + 3)
    works = backlog(ready())

    assert works.wait(20)
    assert notes.with_a_vector() == 2 * BATCH + 3
    assert notes.vectors.pending("scripted") == 0


def test_what_an_ended_process_left_behind_is_found_at_the_next_word(notes: Notes, backlog: Made) -> None:
    notes.add(3)
    first = backlog(ready())
    first.close()
    second = backlog(ready())
    second.notify()

    assert second.wait(20)
    assert notes.with_a_vector() == 3


def test_a_write_does_not_wait_for_the_model(notes: Notes, backlog: Made) -> None:
    gated = Gated()
    works = backlog(ready(gated))
    notes.add(1)
    works.notify()
    assert gated.entered.acquire(timeout=20)

    notes.add(5)  # the database is not locked while a batch is computed
    works.notify()
    assert notes.with_a_vector() == 0
    gated.go_on.release(3)
    assert works.wait(20)
    assert notes.with_a_vector() == 6


def test_wait_says_no_when_its_time_is_over_and_yes_when_the_work_is_done(
    notes: Notes, backlog: Made
) -> None:
    gated = Gated()
    works = backlog(ready(gated))
    notes.add(1)

    assert works.wait(0.05) is False
    gated.go_on.release(1)
    assert works.wait(20) is True
    assert works.wait(20) is True


def test_without_an_embedder_nothing_is_awaited_and_no_thread_runs(notes: Notes, backlog: Made) -> None:
    works = backlog(BackgroundEmbedder(Settings(embedder="none")))
    notes.add(1)
    threads = threading.active_count()
    works.notify()

    assert works.wait(20) is False
    assert threading.active_count() == threads


def test_an_embedder_that_cannot_load_ends_the_wait_at_once(
    notes: Notes, backlog: Made, third_party: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "scripted", ("third_party", "third_party.embedder:load"))
    embedder = BackgroundEmbedder(Settings(embedder="scripted", embedding_model="broken"))  # type: ignore[arg-type]
    notes.add(1)

    assert backlog(embedder).wait(20) is False
    assert embedder.state == "failed"


def test_a_batch_that_fails_is_tried_again_at_the_next_word(
    notes: Notes, backlog: Made, caplog: pytest.LogCaptureFixture
) -> None:
    gated = Gated()
    gated.go_on.release(10)
    works = backlog(ready(gated))
    notes.add(1, "fail")

    assert works.wait(20) is False
    assert "Embedding stopped until the next write" in caplog.text
    with notes.database.write() as connection:
        connection.execute("UPDATE note SET body = 'a cat'")
    assert works.wait(20) is True
    assert notes.with_a_vector() == 1


def test_close_finishes_the_batch_in_hand_and_begins_no_other(notes: Notes, backlog: Made) -> None:
    gated = Gated()
    works = backlog(ready(gated))
    notes.add(BATCH + 1)
    works.notify()
    assert gated.entered.acquire(timeout=20)

    closing = threading.Thread(target=works.close)
    closing.start()
    waiting: list[bool] = []
    asking = threading.Thread(target=lambda: waiting.append(works.wait(20)))
    asking.start()
    gated.go_on.release(1)
    closing.join(20)
    asking.join(20)

    assert gated.batches == [BATCH]
    assert notes.with_a_vector() == BATCH
    assert waiting == [False]
    works.notify()
    assert works.wait(20) is False


def test_close_before_any_work_is_allowed(backlog: Made) -> None:
    works = backlog(ready())
    works.close()
    works.notify()

    assert works.wait(20) is False


def test_writers_in_many_threads_are_all_served(notes: Notes, backlog: Made) -> None:
    works = backlog(ready())

    def write(_: Sequence[int]) -> None:
        notes.add(3)
        works.notify()

    threads = [threading.Thread(target=write, args=([],)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert works.wait(20)
    assert notes.with_a_vector() == 30
