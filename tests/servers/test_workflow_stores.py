"""Where definitions and workflows are kept: a file, or the PostgreSQL that several machines share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import anyio
import pytest
from mcp import Client

from pygent_orchestration.features.events import replay
from pygent_orchestration.features.store import FeatureStore
from pygent_orchestration.server import build_server
from pygent_orchestration.spec import Definition
from pygent_orchestration.store import MIGRATIONS, Begun, Store, now
from pygent_orchestration.store_postgres import SETTING, opened, take_over
from pygent_shared.database import Database
from pygent_shared.database_postgres import PostgresDatabase, Rows
from pygent_shared.errors import DatabaseUnusable, IllegalMove, UnknownName
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

PATIENCE = 60
APPROVED = '[steps.ask]\napproval = "Go on?"\n'


@pytest.fixture(params=["sqlite", "postgresql"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rows]:
    """Empty tables."""
    if request.param == "sqlite":
        made: Rows = Database(tmp_path / "orchestration.db", MIGRATIONS)
    else:
        url = request.getfixturevalue("postgres")
        forget(url)
        made = opened(url)
    yield made
    made.close()


def forget(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS pygent_orchestration CASCADE")


def definition(what: str) -> Definition:
    return Definition.model_validate({"steps": {"a": {"condition": f"'100%' + '{what}?'"}}})


def begun(id: str, name: str = "w") -> Begun:
    return Begun(id=id, name=name, version=1, inputs={"n": 1}, began_at=now(), origin="")


def test_a_definition_is_kept_in_versions_that_do_not_change(rows: Rows) -> None:
    store = Store(rows)
    assert [store.define("w", definition(what), now()) for what in "aab"] == [1, 1, 2]
    assert store.names() == ["w"]
    assert store.definition("w") == (2, definition("b"))
    assert store.definition("w", 1) == (1, definition("a"))
    assert store.definition("none") is None
    with pytest.raises(Exception, match="never changed"), rows.write() as connection:
        connection.execute("UPDATE definition SET data = '{}'")
    assert store.definition("w", 1) == (1, definition("a"))


def test_what_is_done_to_a_workflow_is_kept_in_order(rows: Rows) -> None:
    store = Store(rows)
    assert not store.is_awaited()
    for id in ("one", "two", "one"):
        store.begin(begun(id))
    store.begin(begun("other", "v"))
    assert [found.id for found in store.all("w", 9)] == ["two", "one"]
    assert [found.id for found in store.all("", 2)] == ["other", "two"]
    assert store.get("one").inputs == {"n": 1}
    with pytest.raises(UnknownName, match='Did you mean "other"'):
        store.get("othr")
    store.note("one", "approved", now(), "ask", {"é": [None, "?"]})
    store.note("one", "cancelled", now())
    assert [(note.kind, note.step, note.data) for note in store.noted("one")] == [
        ("approved", "ask", {"é": [None, "?"]}),
        ("cancelled", "", None),
    ]
    for id in ("one", "two", "other"):
        assert store.is_awaited()
        store.end(id)
    assert not store.is_awaited()
    store.clock("s", on=True)
    store.clock("s", on=True)
    assert store.is_awaited()
    store.clock("s", on=False)
    assert not store.is_awaited()


def test_two_that_define_at_once_make_two_versions(rows: Rows) -> None:
    store = Store(rows)
    threads = [Thread(target=store.define, args=("w", definition(what), now())) for what in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [store.definition("w", number) for number in range(1, 7)]
    assert sorted(str(kept) for kept in found) == sorted(
        str((number, kept[1])) for number, kept in enumerate(found, start=1) if kept
    )
    assert store.definition("w", 7) is None


def test_a_write_that_fails_leaves_nothing(rows: Rows) -> None:
    def fail() -> None:
        with rows.write() as connection:
            connection.execute("INSERT INTO schedule VALUES (?)", ("s",))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not Store(rows).is_awaited()


def test_features_are_kept_beside_them(rows: Rows) -> None:
    features = FeatureStore(rows)
    assert (features.all("", 9), features.is_awaited()) == ([], False)
    with pytest.raises(UnknownName):
        features.get("none")
    asked: dict[str, Any] = {"text": "x", "repository": "/r", "coder": "c"}
    one: dict[str, Any] = {"id": "a", "goal": "A"}
    for number in range(2):  # done again, it is the same
        features.append("f1", "1", "submitted", asked)
        features.append("f1", "2", "planned", {"tasks": [{"id": "old", "goal": "Old"}]})
        features.append("f1", "3", "planned", {"tasks": [{"id": "b", "goal": "B"}, one]})
        features.append("f1", "4", "moved", {"to": "IMPLEMENTATION", "why": ""})
        found = features.append("f1", "5", "task", {"to": "running"}, task="a")
        assert (features.in_hand(), features.is_awaited(), list(found.tasks)) == ({"c": 1}, True, ["b", "a"])
        assert features.get("f1") == found == replay("f1", features.events("f1")), number
    with pytest.raises(IllegalMove):
        features.append("f1", "6", "moved", {"to": "COMPLETED", "why": ""})
    assert [feature.id for feature in features.all("/r", 9)] == ["f1"]
    assert len(features.events("f1")) == 5


def test_a_connection_that_was_lost_is_made_anew(postgres: str) -> None:
    database = opened(postgres)
    (pid,) = database.query("SELECT pg_backend_pid()")[0]
    other = PostgresDatabase(postgres, SETTING, "other", ())
    other.query("SELECT pg_terminate_backend(?)", (pid,))
    other.close()
    with pytest.raises(DatabaseUnusable, match="was lost"):
        database.query("SELECT 1")
    assert database.query("SELECT 1") == [(1,)]
    database.close()


def test_tables_of_a_newer_version_are_left_alone(postgres: str) -> None:
    name = f"newer_{uuid4().hex}"
    PostgresDatabase(postgres, SETTING, name, ("CREATE TABLE a (b text)", "SELECT 1")).close()
    with pytest.raises(DatabaseUnusable, match="newer version"):
        PostgresDatabase(postgres, SETTING, name, ("CREATE TABLE a (b text)",))


def test_one_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        opened("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(refused.value)
    assert SETTING in str(refused.value)


@asynccontextmanager
async def machine(settings: Settings) -> AsyncIterator[Client]:
    async with Client(build_server(settings, None)) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def test_what_a_machine_kept_in_its_file_is_taken_over_once(postgres: str, tmp_path: Path) -> None:
    forget(postgres)
    file, shared = Database(tmp_path / "orchestration.db", MIGRATIONS), opened(postgres)
    before, after = Store(file), Store(shared)
    before.define("mine", definition("a"), now())
    after.define("theirs", definition("b"), now())
    before.begin(begun("one", "mine"))
    before.note("one", "cancelled", now())
    for _ in range(2):
        take_over(shared, file)
    assert after.names() == ["mine", "theirs"]
    assert after.definition("mine") == before.definition("mine")
    assert (after.get("one"), after.noted("one")) == (before.get("one"), before.noted("one"))
    file.close()
    shared.close()


async def test_a_workflow_that_one_machine_began_is_approved_and_carried_on_at_another(
    settings: Settings, postgres: str, tmp_path: Path
) -> None:
    forget(postgres)
    first = replace(settings, durable_url=postgres)
    second = replace(first, data_dir=tmp_path / "another")
    name = f"w-{uuid4().hex[:8]}"
    async with machine(first) as client:
        await call(client, "define_workflow", name=name, definition=APPROVED)
        id = (await call(client, "start_workflow", name=name, wait_s=2))["workflow"]
    async with machine(second) as client:
        assert [
            row["workflow"] for row in (await call(client, "list_workflows", name=name))["workflows"]
        ] == [id]
        with anyio.fail_after(PATIENCE):
            while (await client.call_tool("approve", {"workflow": id})).is_error:
                await anyio.sleep(0.1)
        done = await call(client, "wait_for_workflow", workflow=id, wait_s=PATIENCE)
    assert done["state"] == "done"
    assert not (tmp_path / "another" / "orchestration.db").exists()
