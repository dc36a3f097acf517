"""The thinking behind the policies: buckets, turns, chains, redaction, what is left of a large result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_registry import chain
from pygent_registry.abridge import abridged, head_and_tail, shortened, size_of
from pygent_registry.buckets import MANY, Bucket, Buckets, burst
from pygent_registry.config import parse
from pygent_registry.entry import Entry
from pygent_registry.journal import NAME, Journal
from pygent_registry.policies import Request
from pygent_registry.policies.permit import permit
from pygent_registry.redaction import Redactor, secrets_of
from pygent_registry.results import Results
from pygent_registry.turns import Turns
from pygent_shared.errors import InvalidArgument, NotAllowed, TooMany

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


# Buckets.


@given(st.integers(1, 6000), st.lists(st.floats(0, 5), max_size=200))
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(rate: int, pauses: list[float]) -> None:
    bucket, now, given_ = Bucket(tokens=burst(rate), at=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        bucket = bucket.filled(now, rate)
        if not bucket.wait(rate):
            bucket, given_ = bucket.taken(), given_ + 1
    assert given_ <= burst(rate) + now * rate / 60 + 1e-6


@given(st.integers(1, 6000), st.floats(0, 1))
def test_after_the_wait_that_it_names_a_bucket_has_a_token(rate: int, tokens: float) -> None:
    bucket = Bucket(tokens=tokens, at=0.0)
    assert bucket.filled(bucket.wait(rate) + 1e-6, rate).wait(rate) == pytest.approx(0, abs=1e-6)


def test_however_many_callers_there_were_few_buckets_are_kept_and_none_that_is_in_use() -> None:
    buckets = Buckets("The caller", 6)
    for number in range(10 * MANY):
        buckets.check(f"caller {number}", now=number * 60.0)
        buckets.take(f"caller {number}")
        if number % 100 == 0:
            buckets.check("greedy", now=number * 60.0)
            buckets.take("greedy")
            with pytest.raises(TooMany):
                buckets.check("greedy", now=number * 60.0 + 1)
    assert len(buckets._buckets) <= MANY


# Turns.


@pytest.mark.anyio
async def test_turns_go_to_callers_in_rotation() -> None:
    turns, served = Turns(), []

    async def wants(caller: str) -> None:
        async with turns.turn(caller, 1):
            served.append(caller)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for caller in "aaaabb":
            tasks.start_soon(wants, caller)
    assert "".join(served) == "aababa"


@pytest.mark.anyio
async def test_who_leaves_the_line_takes_no_turn_along() -> None:
    turns = Turns()
    async with anyio.create_task_group() as tasks:

        async def holds(entered: anyio.Event, leave: anyio.Event) -> None:
            async with turns.turn("a", 1):
                entered.set()
                await leave.wait()

        entered, leave = anyio.Event(), anyio.Event()
        tasks.start_soon(holds, entered, leave)
        await entered.wait()
        with anyio.move_on_after(0.01):
            async with turns.turn("b", 1):
                raise AssertionError("two have the only turn")
        leave.set()
    with anyio.fail_after(1):
        async with turns.turn("b", 1):
            pass


# Chains.


@given(st.lists(st.dictionaries(st.sampled_from("abc"), json_values), min_size=1, max_size=6))
def test_a_chain_is_whole_as_written(records: list[dict[str, Any]]) -> None:
    found = chain.verify(chained(records))
    assert (found.records, found.torn, found.broken) == (len(records), 0, "")


@given(st.lists(json_values, min_size=2, max_size=6), st.data())
def test_a_change_a_gap_an_insertion_and_a_swap_break_it(values: list[Any], data: st.DataObject) -> None:
    lines = chained([{"a": value} for value in values])
    place = data.draw(st.integers(0, len(lines) - 2))
    changed = [*lines]
    changed[place] = json.dumps({**json.loads(lines[place]), "a": "changed by somebody"})
    assert chain.verify(changed).broken.startswith(f"line {place + 1}: ")
    assert chain.verify(lines[:place] + lines[place + 1 :]).broken
    assert chain.verify([*lines[: place + 1], lines[place], *lines[place + 1 :]]).broken
    assert chain.verify([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]).broken
    assert chain.verify([*lines[:place], "rubbish\n", *lines[place + 1 :]]).broken


def chained(records: list[dict[str, Any]]) -> list[str]:
    lines, before = [], chain.START
    for record in records:
        line, before = chain.line(record, before)
        lines.append(line)
    return lines


@pytest.mark.anyio
async def test_a_line_that_a_crash_left_unfinished_is_told_from_a_broken_chain(tmp_path: Path) -> None:
    path = tmp_path / NAME
    await Journal(path).append({"n": 1})
    with path.open("a") as file:
        file.write('{"n": 2, "prev": "unfin')
    await Journal(path).append({"n": 3})
    found = chain.verify(path.read_text().splitlines())
    assert (found.records, found.torn, found.broken) == (2, 1, "")


@pytest.mark.anyio
async def test_the_last_record_is_found_behind_a_very_long_line(tmp_path: Path) -> None:
    path = tmp_path / NAME
    await Journal(path).append({"long": "x" * 300_000})
    await Journal(path).append({"n": 2})
    assert chain.verify(path.read_text().splitlines()).records == 2


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    script = (
        "import anyio, sys\nfrom pathlib import Path\nfrom pygent_registry.journal import Journal\n"
        "async def write():\n    journal = Journal(Path(sys.argv[1]))\n"
        "    for n in range(50):\n        await journal.append({'n': n})\n"
        "anyio.run(write)\n"
    )
    path, environ = tmp_path / NAME, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", script, str(path)]
    writers = [subprocess.Popen(words, env=environ) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found = chain.verify(path.read_text().splitlines())
    assert (found.records, found.torn, found.broken) == (150, 0, "")


# Redaction.

TOKENS = [
    "sk-proj-abcDEF0123456789abcdef",
    "sk-ant-api03-abcDEF0123456789abcdef",
    "sk_live_abcdefghijklmnop0123",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2c3" * 5,
    "glpat-abcdefghij0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefghij",
    "AIza" + "a1B2c3D" * 5,
    "npm_" + "a1B2" * 9,
    "pypi-" + "a1B2c" * 11,
    "hf_" + "a1B2c" * 7,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:8])
def test_tokens_of_known_shapes_are_hidden(token: str) -> None:
    assert Redactor([]).text(f"it is {token} or so") == "it is [secret] or so"
    assert Redactor([]).value({"a": [token, 1]}) == {"a": ["[secret]", 1]}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://me:hunter22@db/x", "postgres://me:[secret]@db/x"),
        ("Authorization: Bearer abcdefghijklmnop0123==", "Authorization: Bearer [secret]"),
    ],
)
def test_what_stands_around_a_secret_stays(text: str, left: str) -> None:
    assert Redactor([]).text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "the task-management-of-large-organisations book",
        "sk-learn-is-a-library-of-many-things",
        "https://example.com:8080/a@b",
        "Bearer of bad news",
        "commit 83cfb35a0c0f4be9b4b2a5f1c0a9d8e7f6a5b4c3",
        "ghost_town",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor([]).text(text) == text


@given(json_values, st.text(min_size=8, max_size=20), st.text(), st.text())
def test_nothing_of_a_secret_is_left_and_all_the_rest_is(value: Any, secret: str, a: str, b: str) -> None:
    hidden = Redactor([secret]).value({"inside": [value, a + secret + b]})
    assert secret not in hidden["inside"][1]
    assert hidden["inside"][0] == Redactor([secret]).value(value)
    plain = {"a": 1, "b": ["x", None]}
    assert Redactor([secret]).value(plain) is plain


def test_binary_content_is_not_touched() -> None:
    block = {"type": "image", "data": "correct-horse-battery", "mimeType": "image/png"}
    assert Redactor(["correct-horse-battery"]).value([block]) == [block]


def entry(**keys: Any) -> Entry:
    return parse({"mcpServers": {"a": keys}}).entries[0]


def test_the_secrets_of_an_entry_are_told_from_the_rest_of_its_environment() -> None:
    environ = {
        "API_KEY": "correct-horse",
        "LOG_LEVEL": "information",
        "HOME": "/home/somebody/else",
        "SHORT_TOKEN": "abc",
        "X": "a1b2c3d4e5f6a7b8c9d0",
        "DATABASE_URL": "postgres://me:p%40ssw0rd@db/x",
    }
    assert secrets_of(entry(command="x", env=environ)) == {
        "correct-horse",
        "a1b2c3d4e5f6a7b8c9d0",
        "p@ssw0rd",
    }


def test_the_secrets_of_a_url_and_its_headers_are_known() -> None:
    headers = {"Authorization": "Bearer correct-horse", "Accept": "application/json"}
    found = secrets_of(
        entry(url="https://u:passpass@x.example/?api_key=kkkkkkkk&page=12345678", headers=headers)
    )
    assert found == {"Bearer correct-horse", "correct-horse", "passpass", "kkkkkkkk"}


# Large results.


@given(st.text(), st.integers(0, 200))
def test_head_and_tail_stay_within_their_bytes(text: str, most: int) -> None:
    cut = head_and_tail(text, most, "")
    assert len(cut.encode()) <= max(most, 0) or cut == text
    assert head_and_tail(text, len(text.encode()), "!") == text


@given(st.dictionaries(st.text(), json_values, max_size=8), st.integers(64, 5000))
def test_what_is_shortened_fits_and_keeps_its_shape(value: Any, most: int) -> None:
    short = shortened(value, most)
    if short is not None:
        assert size_of(short) <= most
        assert shape(short).keys() <= shape(value).keys()
    else:
        assert size_of(value) > most


def shape(value: Any, at: str = "") -> dict[str, str]:
    """Path -> type; the items of a list share a path."""
    found = {f"{at}:{type(value).__name__}": ""}
    for key, item in value.items() if isinstance(value, dict) else ():
        found |= shape(item, f"{at}.{key}")
    for item in value if isinstance(value, list) else ():
        found |= shape(item, f"{at}[]")
    return found


blocks = st.lists(
    st.text(max_size=3000).map(lambda text: {"type": "text", "text": text})
    | st.text("abc", max_size=3000).map(
        lambda data: {"type": "image", "data": data, "mimeType": "image/png"}
    ),
    max_size=6,
)


@given(blocks, json_values, st.integers(1000, 5000))
def test_an_abridged_result_is_no_larger_than_it_may_be(content: Any, structured: Any, most: int) -> None:
    result = {"content": content, "structuredContent": {"v": structured}, "isError": True}
    cut = abridged(result, most, "note")
    assert size_of(cut) <= most
    assert "note" in cut["content"][0]["text"]
    assert cut["isError"] is True


def test_kept_results_are_bounded_in_number_and_bytes_and_belong_to_their_caller() -> None:
    results = Results(most=2, most_bytes=100)
    result = {"content": [{"type": "text", "text": "x"}]}
    first, second, third = (results.keep("me", result, 10) for _ in range(3))
    assert second
    assert third
    with pytest.raises(InvalidArgument):
        results.read("me", str(first))
    with pytest.raises(InvalidArgument):
        results.read("you", third)
    assert results.read("me", third)["contents"][0]["text"] == "x"
    assert results.keep("me", result, 101) is None
    assert results.keep("me", result, 95)
    with pytest.raises(InvalidArgument):
        results.read("me", second)


def test_all_parts_of_a_result_can_be_read() -> None:
    content = [
        {"type": "text", "text": "t"},
        {"type": "image", "data": "aa", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "x://y", "text": "r", "mimeType": "text/css"}},
        {"type": "resource_link", "uri": "x://z", "name": "z"},
    ]
    results = Results()
    uri = results.keep("me", {"content": content, "structuredContent": {"s": 1}}, 1)
    read = results.read("me", str(uri))["contents"]
    assert [(part["mimeType"], part.get("text", part.get("blob"))) for part in read] == [
        ("text/plain", "t"),
        ("image/png", "aa"),
        ("text/css", "r"),
        ("application/json", json.dumps(content[3])),
        ("application/json", '{"s": 1}'),
    ]
    assert {part["uri"] for part in read} == {uri}


# Access.


@pytest.mark.anyio
async def test_a_denied_tool_is_refused_however_its_name_was_learnt() -> None:
    called: list[str] = []

    async def handler(request: Request) -> dict[str, Any]:
        called.append(request.params["name"])
        return {}

    def request(tool: str) -> Request:
        context: Any = SimpleNamespace(method="tools/call")
        return Request(server="a", name=f"a__{tool}", params={"name": tool}, context=context, definition={})

    handle = permit(lambda server: entry(command="x", deny=["w*"]))(handler)
    await handle(request("read"))
    with pytest.raises(NotAllowed, match='The tool "a__write" is forbidden by the entry "a"'):
        await handle(request("write"))
    assert called == ["read"]


# The config's keys.


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"allow": "x"}, "a list of tools' names"),
        ({"deny": [1]}, "a list of tools' names"),
        ({"approve": {}}, "a list of tools' names"),
        ({"trusted": "yes"}, "must be true or false"),
        ({"concurrency": 0}, "a whole number above 0"),
        ({"concurrency": True}, "a whole number above 0"),
        ({"maxResultBytes": 1.5}, "a whole number above 0"),
        ({"timeouts": [1]}, "must be an object"),
        ({"timeouts": {"x": 0}}, '"timeouts.x" is 0, but it must be a number of seconds above 0'),
        ({"cache": "1"}, "a number of seconds above 0"),
    ],
)
def test_a_rule_that_cannot_be_understood_is_named(keys: dict[str, Any], words: str) -> None:
    (bad,) = parse({"mcpServers": {"a": {"command": "x", **keys}}}).bad
    assert words in bad.why


def test_an_empty_list_of_allowed_tools_allows_none() -> None:
    assert not entry(command="x", allow=[]).permits("anything")
    assert entry(command="x").permits("anything")


def test_the_first_pattern_that_fits_gives_a_tools_time_limit() -> None:
    found = entry(command="x", timeout=7, timeouts={"a*": 2000, "*b": 3})
    assert [found.patience(tool) for tool in ("ab", "b", "c", None)] == [2000, 3, 7, 7]
