"""What counts as plain, held against the SDK's own models: they must have nothing to say about it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from mcp_types.methods import serialize_server_result, validate_client_request

from pygent_registry import plain

LEGACY, MODERN = "2025-06-18", "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
}
KEYS = some.sampled_from(["say", "_meta", "progressToken", "io.modelcontextprotocol/logLevel"])
JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-9, 9) | some.sampled_from(["", "text", "complete"]),
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)
BLOCKS = some.fixed_dictionaries(
    {"type": some.sampled_from(["text", "image", "audio", "resource_link"]), "text": JSON},
    optional={"data": JSON, "mimeType": JSON, "annotations": JSON},
) | some.fixed_dictionaries({"type": some.just("text"), "text": some.just("hello")})
RESULTS = some.fixed_dictionaries(
    {"content": some.lists(BLOCKS, max_size=2) | JSON},
    optional={
        "structuredContent": JSON,
        "isError": JSON,
        "resultType": JSON | some.just("complete"),
        "_meta": JSON,
        "more": JSON,
    },
)
CALLS = some.fixed_dictionaries(
    {"name": some.just("a__echo") | JSON},
    optional={"arguments": JSON, "_meta": JSON, "task": JSON, "requestState": JSON},
)


@given(result=RESULTS)
@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_the_sdk_changes_nothing_in_a_plain_result(result: dict[str, Any], version: str) -> None:
    if plain.is_result(result):
        whole = {"resultType": "complete", **result}
        expected = whole if version == MODERN else {k: v for k, v in whole.items() if k != "resultType"}
        assert serialize_server_result("tools/call", version, whole) == expected


@given(params=CALLS)
def test_the_sdk_accepts_every_plain_call(params: dict[str, Any]) -> None:
    if plain.is_call(params, modern=False):
        validate_client_request("tools/call", LEGACY, params)
    if plain.is_call(params, modern=True):
        enveloped = {**params, "_meta": {**ENVELOPE, **params.get("_meta", {})}}
        validate_client_request("tools/call", MODERN, enveloped)


def test_an_ordinary_call_and_its_result_are_plain() -> None:
    assert plain.is_call({"name": "a__echo", "arguments": {}, "_meta": {"progressToken": 1}}, modern=False)
    assert plain.is_call({"name": "a__echo", "_meta": ENVELOPE}, modern=True)
    text = {"type": "text", "text": "hello"}
    assert plain.is_result({"content": [text], "structuredContent": {"said": None}, "isError": True})


@pytest.mark.parametrize("more", [{"requestState": "s"}, {"inputResponses": {}}, {"task": {}}])
def test_a_call_that_is_more_than_a_call_is_not_plain(more: dict[str, Any]) -> None:
    assert not plain.is_call({"name": "a__echo", **more}, modern=True)


def test_a_result_that_asks_for_input_is_not_plain() -> None:
    assert not plain.is_result({"content": [], "resultType": "input_required"})
