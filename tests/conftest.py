"""What every test may use: see `pygent_shared.testing`; and a real PostgreSQL or Redis, for those that want
one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "shared")]

import redis_server
from postgres_server import programs, running

# The exercises' tests are run by the gates, on what a coder wrote.
collect_ignore = ["data"]

pytest_plugins = ["pygent_shared.testing"]

# Ignored where a shell runs the tests in its background, and every program that they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of the machine than of what is tested.
settings.register_profile("pygent", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pygent")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL with pgvector that runs as long as the tests do."""
    if (bin := programs()) is None or find_spec("psycopg") is None:
        pytest.skip("needs pip install 'pygent-factory[postgres,test]', where nobody may look")
    with running(bin) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis that runs as long as the tests do."""
    redis_server.wanted()
    with redis_server.running() as url:
        yield url
