"""The recording of the reference memory server, against the server itself where it is installed."""

import json

import pytest

from .real_servers import missing
from .reference_memory import RECORDING, calls, recorded

pytestmark = pytest.mark.anyio


async def test_the_reference_server_answers_as_it_is_recorded() -> None:
    if why := missing():
        pytest.skip(why)
    assert await recorded() == json.loads(RECORDING.read_text(encoding="utf-8"))


def test_the_recording_is_of_the_calls_that_are_written_here() -> None:
    kept = json.loads(RECORDING.read_text(encoding="utf-8"))["calls"]
    assert [(call["name"], call["tool"], call["arguments"]) for call in kept] == list(calls())
