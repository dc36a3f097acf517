"""Changing memories as callers meet it: what is changed, what is kept, and how it is taken back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from mcp import Client

from pygent_memory.history import History
from pygent_memory.schema import MIGRATIONS
from pygent_shared.database import Database
from pygent_shared.settings import Settings
from pygent_shared.testing import Connect, call, in_memory, over_stdio, refusal

pytestmark = pytest.mark.anyio

MEMORY = "pygent_memory"
PARIS = "Ann lives in Paris."
LISBON = "Ann lives in Lisbon."


async def added(client: Client, text: str, **arguments: Any) -> str:
    """The id of a memory just added."""
    data, _ = await call(client, "memory_add", text=text, **arguments)
    return str(data["results"][0]["id"])


async def update(client: Client, id: str, **arguments: Any) -> dict[str, Any]:
    data, _ = await call(client, "memory_update", id=id, **arguments)
    return data


async def got(client: Client, id: str, **arguments: Any) -> dict[str, Any] | None:
    data, _ = await call(client, "memory_get", ids=[id], **arguments)
    return data["memories"][0] if data["memories"] else None


async def asked(client: Client, query: str) -> list[str]:
    data, _ = await call(client, "memory_search", query=query)
    return sorted(result["text"] for result in data["results"])


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with in_memory(MEMORY, settings) as connected:
        yield connected


async def test_a_new_text_takes_the_old_ones_place_and_undo_brings_it_back(connect: Connect) -> None:
    async with connect(MEMORY) as client:
        old = await added(client, PARIS, tags=["home"], importance=0.9)
        changed, text = await call(client, "memory_update", id=old, text=LISBON)
        new = changed["id"]
        assert (changed["replaced"], changed["changed"], changed["version"]) == (old, ["text"], 1)
        assert f"{new} took the place of {old}" in text
        assert f'memory_update(id="{new}", undo=true)' in text
        assert await asked(client, "Where does Ann live?") == [LISBON]
        kept = await got(client, new)
        assert kept is not None
        assert (kept["tags"], kept["importance"]) == (["home"], 0.9)
        assert (await got(client, old) or {})["text"] == PARIS

        undone, text = await call(client, "memory_update", id=new, undo=True)
        assert (undone["id"], undone["withdrawn"]) == (old, new)
        assert f"{old} holds again, and {new} is forgotten" in text
        assert await asked(client, "Where does Ann live?") == [PARIS]
        assert await got(client, new) is None


async def test_the_old_id_undoes_it_too(client: Client) -> None:
    old = await added(client, PARIS)
    new = (await update(client, old, text=LISBON))["id"]
    assert (await update(client, old, undo=True))["withdrawn"] == new


async def test_all_but_the_text_changes_in_place(client: Client) -> None:
    id = await added(client, PARIS, tags=["home", "old"])
    changed = await update(
        client, id, tags=["Town"], importance=1, pinned=True, valid_to="2999-01-01", ttl_days=3
    )
    assert changed["id"] == id
    assert changed["changed"] == ["tags", "importance", "pinned", "valid_to", "expires_at"]
    assert (changed["version"], changed["replaced"]) == (2, "")
    kept = await got(client, id)
    assert kept is not None
    assert (kept["tags"], kept["importance"]) == (["town"], 1)
    assert (await update(client, id, tags=["town"]))["changed"] == []
    assert (await update(client, id, tags=["town"]))["version"] == 2


async def test_each_undo_goes_one_change_further_back(client: Client) -> None:
    id = await added(client, PARIS, importance=0.1)
    await update(client, id, importance=0.2)
    await update(client, id, importance=0.3, tags=["x"])
    for importance in (0.2, 0.1):
        undone, text = await call(client, "memory_update", id=id, undo=True)
        assert undone["undone"] is True
        assert f"{id} is as it was before: " in text
        assert "Take it back" not in text
        kept = await got(client, id)
        assert kept is not None
        assert (kept["importance"], kept["tags"]) == (importance, [])
    assert f"undo: nothing of {id} was changed" in await refusal(client, "memory_update", id=id, undo=True)


async def test_a_change_for_a_version_that_is_gone_is_refused_with_the_present_one(client: Client) -> None:
    id = await added(client, PARIS)
    await update(client, id, importance=0.2, if_version=1)
    message = await refusal(client, "memory_update", id=id, text=LISBON, if_version=1)
    assert message.endswith(
        f"if_version: is 1, but {id} was changed since and is at version 2. "
        f'Read it again: memory_get(ids=["{id}"]).'
    )
    assert await asked(client, "Ann") == [PARIS]


async def test_of_many_that_change_one_version_at_once_one_succeeds(settings: Settings) -> None:
    async with in_memory(MEMORY, settings) as first, over_stdio(MEMORY, settings) as second:
        id = await added(first, PARIS)
        done: list[bool] = []

        async def write(client: Client, number: int) -> None:
            arguments = {"id": id, "importance": number / 100, "if_version": 1}
            done.append(not (await client.call_tool("memory_update", arguments)).is_error)

        async with anyio.create_task_group() as tasks:
            for number in range(1, 11):
                tasks.start_soon(write, first, number)
                tasks.start_soon(write, second, 20 + number)
        assert (len(done), sum(done)) == (20, 1)


async def test_what_ended_is_no_longer_found_until_that_is_taken_back(client: Client) -> None:
    id = await added(client, PARIS)
    await update(client, id, valid_to="2020-01-01")
    assert await asked(client, "Ann") == []
    await update(client, id, valid_to="never")
    assert await asked(client, "Ann") == [PARIS]
    await update(client, id, undo=True)
    assert await asked(client, "Ann") == []
    await update(client, id, undo=True)
    assert await asked(client, "Ann") == [PARIS]


async def test_a_text_that_is_known_already_takes_its_place_and_is_not_doubled(client: Client) -> None:
    paris, lisbon = await added(client, PARIS), await added(client, LISBON)
    changed = await update(client, paris, text=LISBON)
    assert (changed["id"], changed["replaced"]) == (lisbon, paris)
    assert (await got(client, lisbon) or {})["seen"] == 1
    await update(client, paris, undo=True)
    assert await asked(client, "Ann") == sorted([PARIS, LISBON])


async def test_the_same_text_with_other_blanks_changes_nothing(client: Client) -> None:
    id = await added(client, PARIS)
    assert (await update(client, id, text=f"  {PARIS}\n"))["changed"] == []


async def test_the_history_tells_versions_events_and_what_was_before(
    client: Client, settings: Settings
) -> None:
    first = await added(client, PARIS)
    await update(client, first, importance=0.25)
    second = (await update(client, first, text=LISBON))["id"]
    third = (await update(client, second, text="Ann lives in Porto."))["id"]
    database = Database(settings.data_dir / "memory.db", MIGRATIONS)
    try:
        for id in (first, second, third):
            versions = History(database).of("default", id)
            assert [version.memory.id for version in versions] == [first, second, third]
        assert [event.what for event in versions[0].events] == ["added", "updated", "rewritten"]
        assert versions[0].events[1].before == {"importance": 0.5}
        assert [version.memory.replaced_by for version in versions] == [second, third, ""]
        assert History(database).of("other", first) == []
    finally:
        database.close()


async def test_a_history_is_read_through_the_tool_and_is_silent_about_what_is_forgotten(
    client: Client,
) -> None:
    first = await added(client, PARIS)
    await update(client, first, importance=0.25)
    second = (await update(client, first, text=LISBON))["id"]
    data, text = await call(client, "memory_get", ids=[second, "mnone"], history=True)
    assert [row["id"] for row in data["memories"]] == [second]
    assert [row["text"] for row in data["history"][second]] == [PARIS, LISBON]
    assert (data["history"][second][0]["replaced_by"], data["unknown"]) == (second, ["mnone"])
    assert "updated: importance was 0.5" in text
    await call(client, "memory_forget", ids=[first])
    data, text = await call(client, "memory_get", ids=[second], history=True)
    assert data["history"][second][0]["text"] == ""
    assert data["history"][second][0]["forgotten_at"]
    assert "Paris" not in text
    assert "importance" not in text


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "text: is empty, and so is all else. Send what is to change, such as text or tags; or undo=true."),
    ({"text": " \n"}, "text: is empty, so there is nothing to remember."),
    ({"text": "x" * 10_000_000}, "text: holds 10,000,000 bytes, and a memory holds at most 64,000."),
    ({"text": "a\ud800"}, "text: holds half a character at position 1."),
    ({"tags": ["t" * 101]}, "tags: has 101 characters. Use at most 100."),
    ({"importance": 2}, "importance: input should be less than or equal to 1 (got '2')."),
    ({"pinned": "perhaps"}, "pinned: input should be a valid boolean"),
    ({"valid_to": "soon"}, "valid_to: 'soon' is no ISO 8601 date. Write a day as 2025-03-01"),
    (
        {"expires_at": "2020-01-01"},
        "expires_at: 2020-01-01 has passed. Take a later time, or take the memory",
    ),
    ({"expires_at": "2999-01-01", "ttl_days": 2}, "ttl_days: came together with expires_at. Send one of"),
    (
        {"ttl_days": -1},
        'ttl_days: is -1, and it must be 0 to 36,500. Send a number of days, or expires_at="never".',
    ),
    ({"ttl_days": 1e9}, "ttl_days: is 1e+09, and it must be 0 to 36,500."),
    ({"undo": True, "text": "x"}, "undo: came together with text. Send one of the two."),
    ({"undo": True, "pinned": False}, "undo: came together with pinned. Send one of the two."),
    ({"undo": True}, "undo: nothing of {id} was changed, or all of it is undone."),
    ({"if_version": 7, "pinned": True}, "if_version: is 7, but {id} was changed since and is at version 1."),
    ({"id": "", "pinned": True}, "id: is empty. Take an id from memory_search or memory_add."),
    ({"id": "mnone", "pinned": True}, 'id: space "default" has no memory mnone. Take an id from'),
    ({"id": "m\ud800", "pinned": True}, "id: holds half a character"),
    ({"txet": "x"}, 'memory_update has no argument "txet". Did you mean "text"?'),
]


async def test_a_change_that_cannot_be_made_is_refused_in_a_sentence_and_changes_nothing(
    client: Client,
) -> None:
    id = await added(client, PARIS)
    before = await got(client, id)
    for arguments, sentence in REFUSED:
        message = await refusal(client, "memory_update", **{"id": id, **arguments})
        assert sentence.replace("{id}", id) in message
        assert "\n" not in message
    assert await got(client, id) == before
    assert await asked(client, "Ann") == [PARIS]


async def test_what_was_replaced_or_forgotten_is_not_changed_and_says_what_to_do(client: Client) -> None:
    old = await added(client, PARIS)
    new = (await update(client, old, text=LISBON))["id"]
    message = await refusal(client, "memory_update", id=old, pinned=True)
    assert f"id: {old} was replaced by {new} on " in message
    assert f'memory_update(id="{old}", undo=true)' in message
    await call(client, "memory_forget", ids=[new])
    message = await refusal(client, "memory_update", id=new, pinned=True)
    assert f'id: {new} is forgotten. Bring it back first: memory_forget(ids=["{new}"], undo=true).' in message


async def test_a_receipt_names_what_the_forgotten_had_replaced_and_that_can_hold_again(
    client: Client,
) -> None:
    old = await added(client, PARIS)
    new = (await update(client, old, text=LISBON))["id"]
    receipt, text = await call(client, "memory_forget", ids=[new])
    assert (receipt["forgotten"], receipt["displaced"]) == ([new], [old])
    assert f"Had taken the place of what memory_update(id, undo=true) lets hold again (1): {old}." in text
    assert (await update(client, old, undo=True))["withdrawn"] == ""
    assert await asked(client, "Ann") == [PARIS]


async def test_the_two_tools_cost_a_model_few_tokens(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    definitions = [
        (tools[name].name, tools[name].description, tools[name].input_schema)
        for name in ("memory_update", "memory_forget")
    ]
    assert len(json.dumps(definitions, ensure_ascii=False).encode()) / 4 <= 550


async def test_an_undo_in_the_middle_of_a_chain_names_what_is_to_be_undone_first(client: Client) -> None:
    first = await added(client, PARIS)
    second = (await update(client, first, text=LISBON))["id"]
    await update(client, second, text="Ann lives in Porto.")
    message = await refusal(client, "memory_update", id=first, undo=True)
    assert f'Undo that first: memory_update(id="{second}", undo=true).' in message
    await update(client, second, undo=True)
    await update(client, first, undo=True)
    assert await asked(client, "Ann") == [PARIS]


async def test_an_undo_that_would_double_a_memory_is_refused(client: Client) -> None:
    old = await added(client, PARIS)
    await update(client, old, text=LISBON)
    again = await added(client, PARIS)
    message = await refusal(client, "memory_update", id=old, undo=True)
    assert f"with it {old} would say the same as {again}" in message
    assert await asked(client, "Ann") == sorted([PARIS, LISBON])


async def test_no_space_changes_another(client: Client) -> None:
    id = await added(client, PARIS, space="mine")
    for arguments in ({"text": LISBON}, {"pinned": True}, {"undo": True}):
        message = await refusal(client, "memory_update", id=id, space="yours", **arguments)
        assert f'space "yours" has no memory {id}' in message
    assert (await got(client, id, space="mine") or {})["text"] == PARIS
