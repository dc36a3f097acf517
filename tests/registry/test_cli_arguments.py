"""From what is typed on a command line to what a tool's schema describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_registry.cli.arguments import filled, split, typed
from pygent_shared.errors import FileRefused, InvalidArgument, UnknownName

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "limit": {"type": "integer"},
        "score": {"type": "number"},
        "undo": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "filter": {"type": "object"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["integer", "string"]},
        "nothing": {"anyOf": [{"type": "array"}, {"type": "null"}]},
        "kind": {"$ref": "#/$defs/Kind"},
        "level": {"enum": [1, 2, 3]},
        "any": {},
    },
    "$defs": {"Kind": {"enum": ["semantic", "episodic"], "type": "string"}},
}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def one(key: str, text: str) -> Any:
    return typed({key: text}, SCHEMA, "tool")[key]


@given(st.text())
def test_a_text_stays_as_typed(text: str) -> None:
    assert one("text", text) == text
    assert one("maybe", text) == text


@given(st.integers())
def test_a_whole_number_becomes_one(number: int) -> None:
    assert one("limit", str(number)) == number
    assert one("score", str(number)) == number
    assert one("either", str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_becomes_one(number: float) -> None:
    assert one("score", repr(number)) == number


@given(st.lists(values))
def test_a_list_is_read_as_json(items: list[Any]) -> None:
    assert one("tags", json.dumps(items)) == items
    assert one("nothing", json.dumps(items)) == items


@given(st.dictionaries(st.text(), values))
def test_an_object_is_read_as_json(members: dict[str, Any]) -> None:
    assert one("filter", json.dumps(members)) == members


@given(values)
def test_where_anything_goes_json_is_read(value: Any) -> None:
    assert one("any", json.dumps(value)) == value


@given(st.sampled_from(["limit", "score", "undo", "tags", "filter", "kind", "level", "nothing"]), st.text())
def test_what_does_not_fit_is_refused_in_a_sentence_and_nothing_else_happens(key: str, text: str) -> None:
    found = refusal = None
    try:
        found = one(key, text)
    except InvalidArgument as error:
        refusal = str(error)
    if refusal is not None:
        assert refusal.startswith(f"{key}: ")
    else:
        assert found is None or not isinstance(found, str) or found in ("semantic", "episodic")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("undo", "true", True),
        ("undo", "False", False),
        ("limit", "3.0", 3),
        ("kind", "semantic", "semantic"),
        ("level", "2", 2),
        ("either", "two", "two"),
        ("maybe", "null", "null"),
        ("nothing", "null", None),
        ("any", "two words", "two words"),
    ],
)
def test_these_are_read_so(key: str, text: str, value: Any) -> None:
    assert one(key, text) == value
    assert type(one(key, text)) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("limit", "a", "'a', but it must be a whole number. Such as: limit=3"),
        ("limit", "true", "must be a whole number"),
        ("limit", "3.5", "must be a whole number"),
        ("score", "NaN", "must be a number"),
        ("score", "1e999", "must be a number"),
        ("undo", "yes", "true or false"),
        ("tags", "a,b", """a list in JSON. Such as: tags='["a", "b"]'"""),
        ("tags", "[" * 100_000, "a list in JSON"),
        ("limit", "9" * 5000, "must be a whole number"),
        ("filter", "[1]", "an object in JSON"),
        ("kind", "sematic", 'Did you mean "semantic"?'),
        ("level", "4", "There is: 1, 2, 3."),
    ],
)
def test_these_are_refused(key: str, text: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        one(key, text)
    assert says in str(caught.value)


def test_an_unknown_argument_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r'no argument "limt"\. Did you mean "limit"'):
        typed({"limt": "3"}, SCHEMA, "tool")


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"text: is missing, and tool needs it\. Add: text="):
        typed({}, {**SCHEMA, "required": ["text"]}, "tool")


def test_further_arguments_are_taken_where_the_schema_allows_them() -> None:
    assert typed({"x": "1"}, {"type": "object"}, "tool") == {"x": 1}
    assert typed({"x": "1"}, {"properties": {"a": {}}, "additionalProperties": True}, "tool") == {"x": 1}
    numbers = {"properties": {}, "additionalProperties": {"type": "string"}}
    assert typed({"x": "1"}, numbers, "tool") == {"x": "1"}
    with pytest.raises(UnknownName):
        typed({"x": "1"}, {"type": "object", "additionalProperties": False}, "tool")


def test_words_are_split_at_the_first_equals_sign() -> None:
    assert split(["a=b=c", "d="]) == {"a": "b=c", "d": ""}


@pytest.mark.parametrize("words", [["word"], ["=x"], ["a=1", "a=2"]])
def test_words_of_another_form_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        split(words)


def test_a_value_can_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("héllo\n", encoding="utf-8")
    assert filled({"a": f"@{path}", "b": "@@x", "c": "x@y"}) == {"a": "héllo\n", "b": "@x", "c": "x@y"}


def test_a_file_that_cannot_be_read_is_refused_with_the_way_to_type_an_at_sign(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileRefused, match="For a text that begins with @, type a=@@nobody"):
        filled({"a": "@nobody"})
    with pytest.raises(FileRefused, match="not UTF-8"):
        filled({"a": f"@{tmp_path / 'binary'}"})
