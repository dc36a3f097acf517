"""Agents of ours serve A2A clients that nobody here wrote, each with its own dialect of the protocol.

`a2a_clients.py` installs them; where one is missing its test skips and says what to type.
"""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from .a2a_clients import BINDINGS, DEEDS, NAMES, missing, run
from .a2a_instance import TOKEN, Instance, furnish, instance


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    home: Path = tmp_path_factory.mktemp("home")
    anyio.run(furnish, home)
    with instance(home) as served:
        yield served


@pytest.mark.parametrize("name", NAMES)
def test_a_client_finds_sends_streams_cancels_and_answers(served: Instance, name: str) -> None:
    if why := missing(name):
        pytest.skip(why)
    deeds = [deed["deed"] for deed in run(name, served.url, TOKEN)]
    assert deeds == list(DEEDS) * BINDINGS[name]
