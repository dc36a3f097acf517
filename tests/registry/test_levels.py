"""Each host hears of what it asked for: the log level that one sets is no other's."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from pygent_registry.levels import ORDER
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

from .serving import serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("ours", "theirs", "heard"),
    [("debug", "emergency", True), ("emergency", "debug", False), (None, "emergency", True)],
)
async def test_a_host_that_sets_a_level_changes_nothing_for_another(
    settings: Settings, server: Any, ours: Literal["debug", "emergency"] | None, theirs: Any, heard: bool
) -> None:
    """The server says one thing at the level `error` with each call."""
    messages: list[Any] = []

    async def logged(params: Any) -> None:
        messages.append(params.data)

    servers = {"a": server("leaking", env={"API_KEY": "correct-horse-battery"})}
    async with serving(settings, servers) as up:
        async with (
            up.host(TOKEN, "legacy", logging_callback=logged) as us,
            up.host(TOKEN, "legacy") as other,
        ):
            if ours is not None:
                await us.session.set_logging_level(ours)
            await other.session.set_logging_level(theirs)
            await us.call_tool("a__echo", {})
            levels = up.registry.levels
            assert levels.least == min((level for level in (ours, theirs) if level), key=ORDER.index)
        assert levels.least == "info"  # both have gone

    assert bool(messages) == heard
