"""Forgetting as callers meet it: shown first, taken back, or erased so that no byte is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from mcp import Client

from pygent_memory.changing import Changing, change
from pygent_memory.filters import Filter, filtered
from pygent_memory.forgetting import Forgetting
from pygent_memory.memories import Memories, open_memories
from pygent_memory.memory import Draft, draft, utc
from pygent_memory.schema import MIGRATIONS
from pygent_memory.selecting import selection
from pygent_memory.store import MemoryStore
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.testing import Connect, ScriptedEmbedder, call, in_memory, refusal

MEMORY = "pygent_memory"
BEGIN = datetime(2025, 1, 1, 12, tzinfo=UTC)
SECRET = "xylophilous"


async def added(client: Client, text: str, **arguments: Any) -> str:
    """The id of a memory just added."""
    data, _ = await call(client, "memory_add", text=text, **arguments)
    return str(data["results"][0]["id"])


async def forget(client: Client, **arguments: Any) -> dict[str, Any]:
    data, _ = await call(client, "memory_forget", **arguments)
    return data


async def asked(client: Client, query: str) -> list[str]:
    data, _ = await call(client, "memory_search", query=query)
    return sorted(result["text"] for result in data["results"])


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with in_memory(MEMORY, settings) as connected:
        yield connected


class Clock:
    """A time that tests set, in days from the beginning."""

    def __init__(self) -> None:
        self.days = 0.0

    def __call__(self) -> datetime:
        return BEGIN + timedelta(days=self.days)

    def at(self, days: float) -> str:
        return utc(BEGIN + timedelta(days=days))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def memories(path: Path, clock: Clock) -> Iterator[Memories]:
    embedder = BackgroundEmbedder.loaded(ScriptedEmbedder({SECRET: 1, "tide": 2}))
    opened = Memories(Database(path, MIGRATIONS), embedder, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def forgetting(memories: Memories) -> Forgetting:
    return Forgetting(memories)


@pytest.fixture
def tell(memories: Memories) -> Callable[..., str]:
    """Adds one memory to the space "a" and returns its id."""

    def add(text: str, *, entity: str = "", space: str = "a", **fields: Any) -> str:
        told = draft(text, **fields)
        (stored,) = memories.add(space, [Draft(**{**vars(told), "entity": entity})])
        return stored.stored.id

    return add


def found(memories: Memories, query: str, wanted: Filter | None = None) -> list[str]:
    search = memories.search("a", query, wanted or Filter(), limit=200, max_tokens=50_000, wait_s=60)
    return sorted(item.memory.id for item in search.results)


def holding(folder: Path, word: str) -> list[str]:
    """The files below a folder that hold a word in any case."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return [file.name for file in files if word.encode() in file.read_bytes().lower()]


# ---- by a filter


@pytest.mark.anyio
async def test_a_filter_shows_what_it_means_and_forgets_just_that_when_confirmed(connect: Connect) -> None:
    async with connect(MEMORY) as client:
        for number in range(7):
            await added(client, f"Gauge {number} is broken.", tags=["gauge"])
        await added(client, "The tide is high.")
        shown, text = await call(client, "memory_forget", query="broken gauges")
        assert (shown["dry_run"], shown["count"], shown["kinds"]) == (True, 7, {"semantic": 7})
        assert [one["text"] for one in shown["first"]] == [
            f"Gauge {number} is broken." for number in range(5)
        ]
        assert "That means 7 memories (7 semantic). Nothing is forgotten yet." in text
        assert "\n> Gauge 0 is broken." in text
        assert "… and 2 more." in text
        assert f'send the same again with confirm="{shown["confirm"]}".' in text
        assert len(await asked(client, "gauge")) == 7

        done, text = await call(client, "memory_forget", query="broken gauges", confirm=shown["confirm"])
        assert (done["dry_run"], done["count"], len(done["forgotten"])) == (False, 7, 7)
        assert await asked(client, "gauge tide") == ["The tide is high."]
        assert f'Take it back: memory_forget(confirm="{shown["confirm"]}", undo=true).' in text
        back = await forget(client, confirm=shown["confirm"], undo=True)
        assert sorted(back["restored"]) == sorted(done["forgotten"])
        assert len(await asked(client, "gauge")) == 7


@pytest.mark.anyio
async def test_what_was_not_shown_is_not_forgotten(client: Client) -> None:
    await added(client, "Gauge one.")
    shown = await forget(client, query="gauge")
    await added(client, "Gauge two.")
    message = await refusal(client, "memory_forget", query="gauge", confirm=shown["confirm"])
    assert (
        "confirm: does not stand for the 2 memories that are meant now. Leave it out to see them" in message
    )
    assert "confirm: does not stand for" in await refusal(
        client, "memory_forget", query="gauge", confirm=shown["confirm"], hard=True
    )
    assert await asked(client, "gauge") == ["Gauge one.", "Gauge two."]


def test_each_filter_means_what_it_says_and_all_of_them_must_match(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str]
) -> None:
    plan = tell("The tide turns.", kind="procedural", tags=["sea", "plan"], occurred_at="2025-01-10")
    said = tell("The tide rose.", speaker="Bo", occurred_at="2025-02-10", conversation="Chat 1")
    other = tell("Salt.", tags=["sea"], occurred_at="2025-03-10T08:00:00Z", conversation="chat 2")

    def meant(**fields: Any) -> set[str]:
        shown = forgetting.show("a", selection(**fields), hard=False)
        assert shown.count == len(shown.first)
        return {memory.id for memory in shown.first}

    assert meant(query="tides") == {plan, said}
    assert meant(query="turning tide") == {plan}
    assert meant(query="bo") == {said}
    assert meant(tags=["Sea"]) == {plan, other}
    assert meant(tags=["sea", "plan"]) == {plan}
    assert meant(kinds=["procedural"]) == {plan}
    assert meant(before="2025-02-10") == {plan}
    assert meant(since="2025-02-10") == {said, other}
    assert meant(since="2025-02-10", before="2025-03-10") == {said}
    assert meant(conversation="Chat 1") == {said}
    assert meant(conversation="chat") == set()
    assert meant(about="bo") == {said}
    assert meant(query="tide", tags=["sea"]) == {plan}
    assert meant(everything=True) == {plan, said, other}
    assert forgetting.show("b", selection(everything=True), hard=False).count == 0


def test_a_filter_takes_hundreds_and_gives_them_back(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str]
) -> None:
    memories.add("a", [draft(f"Gauge {number}.") for number in range(450)])
    kept = tell("Another gauge.", space="b")
    everything = selection(everything=True)
    shown = forgetting.show("a", everything, hard=False)
    forgetting.confirmed("a", everything, shown.confirm, hard=False)
    assert memories.store.size("a") == 0
    assert len(forgetting.restore_receipt("a", shown.confirm).states) == 450
    assert memories.store.size("a") == 450
    assert [memory.id for memory in memories.get("b", [kept])] == [kept]


def test_with_what_is_about_a_name_its_entity_and_relations_go_and_come_back(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str], path: Path
) -> None:
    with memories.store.writing("a", memories.now()) as writer:
        writer.make()
    with apsw.Connection(str(path)) as connection:
        connection.execute(
            """
            INSERT INTO entity (space, name, type, recorded_at) VALUES (1, 'Ann', 'person', '2025');
            INSERT INTO entity (space, name, type, recorded_at) VALUES (1, 'Bo', 'person', '2025');
            INSERT INTO relation (space, source, target, type, recorded_at)
                VALUES (1, 'Bo', 'Ann', 'knows', '2025'), (1, 'Bo', 'Cy', 'knows', '2025');
            """
        ).fetchall()
    tell("Likes tea.", entity="Ann", kind="observation")
    tell("Likes salt.", entity="Bo", kind="observation")
    tell("I am here.", speaker="ann")

    def left() -> list[tuple[str, ...]]:
        rows = memories.database.query(
            "SELECT name FROM entity WHERE forgotten_at IS NULL UNION ALL "
            "SELECT target FROM relation WHERE forgotten_at IS NULL ORDER BY 1"
        )
        return [str(name) for (name,) in rows]  # type: ignore[misc]

    about = selection(about="Ann")
    shown = forgetting.show("a", about, hard=False)
    assert shown.kinds == {"observation": 1, "semantic": 1}
    forgetting.confirmed("a", about, shown.confirm, hard=False)
    assert left() == ["Bo", "Cy"]
    forgetting.restore_receipt("a", shown.confirm)
    assert left() == ["Ann", "Ann", "Bo", "Cy"]
    shown = forgetting.show("a", about, hard=True)
    forgetting.confirmed("a", about, shown.confirm, hard=True)
    assert left() == ["Bo", "Cy"]
    memories.close()
    assert holding(path.parent, "likes tea") == holding(path.parent, "ann") == []


# ---- what was made of a memory


def test_what_was_made_of_a_memory_alone_goes_and_comes_back_with_it(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str]
) -> None:
    one, two = tell("Tide one."), tell("Tide two.")
    of_one = tell("A summary of tides.", kind="summary", derived_from=[one])
    deeper = tell("A tide summary of a summary.", kind="summary", derived_from=[of_one])
    of_both = tell("Both tides.", kind="summary", derived_from=[one, two])
    done = forgetting.forget("a", [one])
    assert (set(done.along), done.bereft) == ({of_one, deeper}, [of_both])
    assert found(memories, "tide") == sorted([two, of_both])
    back = forgetting.restore("a", [one])
    assert set(back.along) == {of_one, deeper}
    assert found(memories, "tide") == sorted([one, two, of_one, deeper, of_both])


def test_what_was_forgotten_by_itself_does_not_come_back_with_its_source(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str]
) -> None:
    source = tell("Tide one.")
    made = tell("A summary of tides.", kind="summary", derived_from=[source])
    forgetting.forget("a", [made])
    forgetting.forget("a", [source])
    forgetting.restore("a", [source])
    assert found(memories, "tide") == [source]


# ---- for good


def every_way(memories: Memories, forgetting: Forgetting, tell: Callable[..., str]) -> list[str]:
    """Memories that hold the secret, or held it, in all ways there are. Returns the ids to erase."""
    changing = Changing(memories)
    live = tell(f"The {SECRET} tide.", tags=[SECRET], speaker=f"{SECRET} Bo")
    twice = tell(f"Told twice: {SECRET}.")
    assert tell(f"Told twice: {SECRET}.") == twice
    gone = tell(f"Forgotten before: {SECRET}.")
    forgetting.forget("a", [gone])
    old = tell(f"Changed later, {SECRET}.")
    new = changing.change("a", old, change(memories.now(), text="Changed by now.")).memory.id
    tagged = tell("Its tags were told otherwise.", tags=[SECRET])
    changing.change("a", tagged, change(memories.now(), tags=["fine"]))
    turn = tell(f"I am {SECRET}, he said.", conversation=f"Talk of {SECRET}")
    source = tell("A source.")
    tell(f"Made of it: {SECRET}.", kind="summary", derived_from=[source, twice])
    long = tell(" ".join([f"Word {number}." for number in range(3000)]) + f" {SECRET}.")
    return [live, twice, gone, new, tagged, turn, long]


def test_of_what_is_erased_no_byte_is_left(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str], path: Path
) -> None:
    memories.add("a", [draft(f"Note {number} of {number * 7919}.") for number in range(1500)])
    ids = every_way(memories, forgetting, tell)
    assert found(memories, SECRET) != []  # its vectors are made
    assert holding(path.parent, SECRET) != []
    done = forgetting.erase("a", ids)
    assert done.remains == []
    assert holding(path.parent, SECRET) == []
    for table in ("memory", "event"):
        rows = memories.database.query(f"SELECT * FROM {table}")
        assert not [row for row in rows if set(row) & {*ids, *done.along}]
    assert memories.database.query("SELECT count(*) FROM conversation") == [(0,)]
    orphans = "SELECT count(*) FROM passage_vector WHERE item NOT IN (SELECT id FROM passage)"
    assert memories.database.query(orphans) == [(0,)]
    assert memories.database.check() == []
    memories.database.query("SELECT 1 FROM passage_words WHERE passage_words MATCH 'note' LIMIT 1")
    assert memories.store.size("a") == 1501


def test_a_filter_erases_what_is_replaced_or_forgotten_too(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str], path: Path
) -> None:
    ids = every_way(memories, forgetting, tell)
    kept = tell("The tide.")
    wanted = selection(query=SECRET)
    shown = forgetting.show("a", wanted, hard=True)
    forgetting.confirmed("a", wanted, shown.confirm, hard=True)
    forgetting.erase("a", ids[4:5])  # of its tags only an event told
    assert holding(path.parent, SECRET) == []
    assert memories.get("a", [kept])


@pytest.mark.anyio
async def test_what_is_erased_is_unknown_and_cannot_be_brought_back(client: Client) -> None:
    old = await added(client, "Ann lives in Paris.")
    new = (await call(client, "memory_update", id=old, text="Ann lives in Lisbon."))[0]["id"]
    _, text = await call(client, "memory_forget", query="Lisbon", hard=True)
    assert "That means 1 memory (1 semantic), and 1 that go with them. Nothing is deleted yet." in text
    assert "To delete just these for good, send the same again with confirm=" in text
    tried, text = await call(client, "memory_forget", ids=[new], hard=True, dry_run=True)
    assert (tried["erased"], tried["along"]) == ([new], [old])
    assert "Would be deleted for good (1)" in text
    done, text = await call(client, "memory_forget", ids=[new, "mnone"], hard=True)
    assert (done["erased"], done["along"], done["unknown"]) == ([new], [old], ["mnone"])
    assert "undo" not in text.split("\n")[0]
    assert (await forget(client, ids=[new, old], undo=True))["unknown"] == [new, old]


@pytest.mark.anyio
async def test_an_erasure_names_the_copies_it_cannot_reach(client: Client, settings: Settings) -> None:
    id = await added(client, "Ann lives in Paris.")
    (settings.data_dir / "backups").mkdir()
    (settings.data_dir / "backups" / "memory-20250101T000000Z-v3.db").write_bytes(b"Ann")
    done, text = await call(client, "memory_forget", ids=[id], hard=True)
    assert done["remains"] == [
        "Copies made earlier may hold it; delete them where it must go: memory-20250101T000000Z-v3.db."
    ]
    assert done["remains"][0] in text


def test_an_erasure_says_when_a_reader_keeps_the_log(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str], path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("pygent_memory.erasing.CHECKPOINT_MS", 50)
    id = tell("The tide.")
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN; SELECT * FROM memory").fetchall()
    try:
        (sentence,) = forgetting.erase("a", [id]).remains
    finally:
        reader.close()
    assert sentence.startswith("Another process was reading")


def test_no_space_forgets_another(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str]
) -> None:
    mine = tell("The tide.")
    for act in (forgetting.forget, forgetting.restore, forgetting.erase):
        assert act("b", [mine]).states == {}
    assert forgetting.show("b", selection(query="tide"), hard=True).count == 0
    assert found(memories, "tide") == [mine]


# ---- what expires


def test_what_expired_is_forgotten_by_the_next_write_and_can_be_brought_back(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str], clock: Clock
) -> None:
    id = tell("The tide is high today.", expires_at=clock.at(1))
    assert found(memories, "tide") == [id]
    clock.days = 1
    assert found(memories, "tide") == memories.get("a", [id]) == memories.recent("a", 9) == []
    assert found(memories, "tide", filtered(past=True)) == []
    assert memories.store.states("a", [id]) == {id: "live"}  # no read has written
    tell("Salt.")
    assert memories.store.states("a", [id]) == {id: "forgotten"}
    (event,) = memories.database.query("SELECT actor FROM event WHERE memory = ? AND what = 'expired'", (id,))
    assert event == ("expiry",)
    forgetting.restore("a", [id])
    (memory,) = memories.get("a", [id])
    assert memory.expires_at == ""
    assert found(memories, "tide") == [id]


def test_a_month_later_what_expired_is_erased(
    memories: Memories, tell: Callable[..., str], clock: Clock, path: Path
) -> None:
    id = tell(f"The {SECRET} tide.", expires_at=clock.at(1))
    clock.days = 2
    tell("Salt.")
    clock.days = 31.9
    tell("Rope.")
    assert memories.store.states("a", [id]) == {id: "forgotten"}
    clock.days = 32
    tell("Sail.", space="b")
    assert memories.store.states("a", [id]) == {}
    memories.close()
    assert holding(path.parent, SECRET) == []


def test_what_replaced_a_lasting_memory_and_expired_does_not_erase_it(
    memories: Memories, forgetting: Forgetting, tell: Callable[..., str], clock: Clock
) -> None:
    lasting = tell("Ann lives in Paris.")
    tell("Ann is in Rome for now.", kind="working", replaces=[lasting])
    for clock.days in (8, 40):
        tell(f"Salt {clock.days}.")
    assert [memory.text for memory in memories.get("a", [lasting])] == ["Ann lives in Paris."]
    Changing(memories).undo("a", lasting)
    assert memories.recent("a", 9)[-1].id == lasting


def test_a_working_memory_is_kept_for_a_week_unless_somebody_says_otherwise(
    memories: Memories, tell: Callable[..., str], clock: Clock
) -> None:
    week = tell("Tide for now.", kind="working")
    longer = tell("Tide for the month.", kind="working", expires_at=clock.at(31))
    always = tell("Tide for ever.", kind="working", expires_at="never")
    assert [memory.expires_at for memory in memories.get("a", [week, longer, always])] == [
        clock.at(7),
        clock.at(31),
        "",
    ]
    clock.days = 7
    assert found(memories, "tide") == sorted([longer, always])


def test_what_is_told_again_after_it_expired_is_a_new_memory(
    memories: Memories, tell: Callable[..., str], clock: Clock
) -> None:
    many = [tell(f"Tide {number}.", expires_at=clock.at(1)) for number in range(120)]
    clock.days = 2
    again = [tell(f"Tide {number}.") for number in range(119, -1, -1)]
    assert not set(many) & set(again)
    assert found(memories, "tide") == sorted(again)
    assert memories.store.size("a") == 120


def test_told_again_a_memory_lasts_as_long_as_any_telling_said(
    memories: Memories, tell: Callable[..., str], clock: Clock
) -> None:
    id = tell("Tide.", expires_at=clock.at(9))
    assert tell("Tide.", expires_at=clock.at(3)) == id
    assert memories.get("a", [id])[0].expires_at == clock.at(9)
    assert tell("Tide.") == id
    assert memories.get("a", [id])[0].expires_at == ""


def test_a_write_sweeps_some_at_a_time_and_one_that_has_none_to_sweep_reads_no_table(
    memories: Memories, tell: Callable[..., str], clock: Clock
) -> None:
    memories.add("a", [draft(f"Tide {number}.", expires_at=clock.at(1)) for number in range(120)])
    clock.days = 1
    left = []
    for number in range(3):
        tell(f"Salt {number}.")
        ((count,),) = memories.database.query("SELECT count(*) FROM event WHERE what = 'expired'")
        left.append(count)
    assert left == [50, 100, 120]
    for which in ("_DUE", "_OVER", "_ENDED"):
        sql = getattr(__import__("pygent_memory.sweeping", fromlist=[which]), which)
        (plan, *_) = memories.database.query(f"EXPLAIN QUERY PLAN {sql}", (clock.at(0),))
        assert "USING INDEX memory_" in str(plan[3]), plan


def test_what_has_ended_goes_to_the_shelf_of_the_past(
    memories: Memories, tell: Callable[..., str], clock: Clock
) -> None:
    id = tell("The tide is high.", valid_to=clock.at(1))
    clock.days = 1
    assert found(memories, "tide") == []
    assert memories.database.query("SELECT past FROM passage") == [(0,)]
    tell("Salt.")
    assert memories.database.query(
        "SELECT p.past FROM passage AS p JOIN memory AS m ON m.key = p.memory WHERE m.id = ?", (id,)
    ) == [(1,)]
    assert found(memories, "tide", filtered(as_of=clock.at(0))) == [id]


# ---- refused


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {},
        "ids: is empty. Send ids from memory_search, or a filter such as query or tags; everything=true for",
    ),
    ({"ids": []}, "ids: is empty."),
    ({"ids": [""]}, "ids: holds an empty id. Take ids from memory_search or memory_add."),
    ({"ids": ["m"] * 101}, "ids: holds 101 ids. Send at most 100 a call."),
    ({"ids": ["\ud800"]}, "ids: holds half a character"),
    ({"ids": ["m1"], "query": "x"}, "ids: came together with a filter or its confirm. Send one of the two."),
    ({"ids": ["m1"], "confirm": "x"}, "ids: came together with a filter or its confirm."),
    (
        {"ids": ["m1"], "hard": True, "undo": True},
        "hard: came together with undo, and what was deleted for good",
    ),
    ({"query": "x", "undo": True}, "undo: came together with a filter. Send ids, or the confirm"),
    ({"query": "x", "confirm": "x", "dry_run": True}, "dry_run: came together with confirm."),
    ({"query": "tide", "confirm": "x"}, "confirm: does not stand for the 1 memories that are meant now."),
    ({"confirm": "x"}, "confirm: comes with no filter."),
    ({"confirm": "x", "undo": True}, 'confirm: nothing was forgotten under it in space "default".'),
    ({"everything": True, "query": "x"}, "everything: came together with a filter. Send one of the two."),
    ({"query": " "}, "query: is empty."),
    ({"query": "!?"}, "query: holds no word. Name words that the memories hold."),
    ({"query": "x" * 10_000_000}, "query: has 10,000,000 characters. Use at most 2,000."),
    ({"about": "x" * 10_000_000}, "about: has 10,000,000 characters. Use at most 1,000."),
    ({"kinds": ["fact"]}, "kinds.0: input should be 'episodic'"),
    ({"since": "soon"}, "since: 'soon' is no ISO 8601 date."),
    ({"before": "2025-13-01"}, "before: '2025-13-01' is no ISO 8601 date."),
    (
        {"since": "2025-02-01", "before": "2025-01-01"},
        "before: 2025-01-01 is not later than since 2025-02-01.",
    ),
]


@pytest.mark.anyio
async def test_what_cannot_be_meant_is_refused_in_a_sentence_and_forgets_nothing(client: Client) -> None:
    await added(client, "The tide.")
    for arguments, sentence in REFUSED:
        message = await refusal(client, "memory_forget", **arguments)
        assert sentence in message
        assert "\n" not in message
    assert await asked(client, "tide") == ["The tide."]


@pytest.mark.anyio
async def test_a_filter_that_means_nothing_says_so(client: Client) -> None:
    await added(client, "The tide.")
    data, text = await call(client, "memory_forget", query="zebra")
    assert (data["count"], data["confirm"]) == (0, "")
    assert text == 'Nothing in space "default" is meant by that.'


def test_a_server_that_starts_sweeps_what_has_expired(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, embedder="none")
    with closing(Database(tmp_path / "memory.db", MIGRATIONS)) as database:
        told = [draft("The tide is high.", expires_at="2025-01-02"), draft("The gauge stands.")]
        MemoryStore(database).add("a", told, "2025-01-01T12:00:00Z")

    with closing(open_memories(settings)) as memories:
        assert memories.database.query("SELECT what FROM event ORDER BY id") == [
            ("added",),
            ("added",),
            ("expired",),
        ]
        assert [memory.text for memory in memories.recent("a", 9)] == ["The gauge stands."]
