"""Which messages answer what a tool asks, and how."""

from __future__ import annotations

from typing import Any

import pytest
from a2a.helpers import new_data_part, new_text_part
from a2a.types import Message

from pygent_a2a.questions import answer, parts

APPROVAL = {"message": "Sell it?", "requestedSchema": {"type": "object", "properties": {}}}
ADDRESS = {"mode": "url", "message": "Sign in.", "url": "https://example.com/", "elicitationId": "1"}
NAME = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
COUNT = {"message": "How many?", "requestedSchema": {"properties": {"count": {"type": "integer"}}}}


def said(what: Any) -> Message:
    return Message(parts=[new_text_part(what) if isinstance(what, str) else new_data_part(what)])


@pytest.mark.parametrize(
    ("asked", "what", "meant"),
    [
        (APPROVAL, "Yes!", {"action": "accept"}),
        (APPROVAL, " approve ", {"action": "accept"}),
        (APPROVAL, "NO.", {"action": "decline"}),
        (APPROVAL, "yes, but only half of it", None),
        (APPROVAL, "not yet", None),
        (APPROVAL, "", None),
        (APPROVAL, {"action": "accept"}, {"action": "accept"}),
        (APPROVAL, {"action": "cancel"}, {"action": "cancel"}),
        (APPROVAL, {"action": "sell"}, None),
        (APPROVAL, {"approved": True}, None),
        (APPROVAL, ["accept"], None),
        (ADDRESS, "yes", {"action": "accept"}),
        (ADDRESS, "I cannot open it", None),
        (ADDRESS, "cancel", {"action": "decline"}),
        (NAME, "Ada", {"action": "accept", "content": {"name": "Ada"}}),
        (NAME, "no", {"action": "decline"}),
        (NAME, "", None),
        (COUNT, "three", None),
        (COUNT, '{"count": 3}', {"action": "accept", "content": {"count": 3}}),
        (COUNT, {"count": 3}, {"action": "accept", "content": {"count": 3}}),
        (COUNT, {"action": "accept", "content": {"count": 3}}, {"action": "accept", "content": {"count": 3}}),
    ],
)
def test_yes_is_what_says_so_and_a_message_that_is_no_answer_is_none(
    asked: dict[str, Any], what: Any, meant: dict[str, Any] | None
) -> None:
    assert answer(said(what), asked) == meant


def test_a_question_says_how_it_is_answered() -> None:
    assert parts(APPROVAL)[0].text == "Sell it?\n\nAnswer yes or no."
    assert [part.WhichOneof("content") for part in parts(ADDRESS)] == ["text", "url"]
    assert parts(COUNT)[1].data.struct_value["properties"]["count"]["type"] == "integer"
