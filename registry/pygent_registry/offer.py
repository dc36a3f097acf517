"""What a server offers: listed when it is up, and again, once, for all its notices of change of a moment.

Lists are asked for raw, so that fields we do not know survive. One private part of the SDK is used for that,
in `Offer.listed`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp.types as t
from mcp import Client, MCPError
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.inbound import x_mcp_header_map

from pygent_registry import raw
from pygent_registry.catalogue import Definition, Listing
from pygent_registry.entry import Entry

log = logging.getLogger(__name__)

MOST_PAGES = 100
MOST_DEFINITIONS = 1000
# A server's notices of change within this time of each other have it listed again once.
NOTICES_SECONDS = 0.1
# One that sends notice after notice, or that cannot list, is asked ever more rarely.
MOST_TIMES = 10
LATELY_SECONDS = 20.0
LONGEST_PAUSE = 30.0
FAILED_SECONDS = 1.0

# All are listed again after any of these.
NOTICES = (
    t.ToolListChangedNotification,
    t.PromptListChangedNotification,
    t.ResourceListChangedNotification,
)
_LISTS = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}
# The key that every definition of a list must have.
_NAMES = {"tools": "name", "prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}


@dataclass(kw_only=True)
class Offer:
    """What `entry`'s server offers over one connection."""

    entry: Entry
    client: Client
    changed: Callable[[Listing], None]
    """Gets what was listed again."""
    doubted: Callable[[str], None]
    """Told why it could not be listed again, in a clause."""
    recovered: Callable[[], None]
    """Told that it could."""
    ended: anyio.Event
    """Set when the connection is of no more use: nothing is listed then."""
    patience: float
    """Seconds that listing again may take."""
    _stale: bool = False
    _refreshing: bool = False
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_TIMES))
    _failures: int = 0

    async def listed(self) -> Listing:
        """All of it, asked for now.

        Raises:
            MCPError: the server could not list it.
        """
        offers = self.client.server_capabilities
        found = {key: await self._all(key) for key in _LISTS if _offers(offers, key)}
        if raw.is_modern(self.client):
            # Raw listings pass the SDK's session by, so its map of Mcp-Param-* headers is filled here.
            self.client.session._x_mcp_header_maps = {
                tool["name"]: x_mcp_header_map(tool.get("inputSchema") or {})
                for tool in found.get("tools", [])
            }
        return Listing(
            server=self.entry.name,
            prefix=self.entry.shown_prefix,
            tools=tuple(found.get("tools", ())),
            prompts=tuple(found.get("prompts", ())),
            resources=tuple(found.get("resources", ())),
            templates=tuple(found.get("resourceTemplates", ())),
            instructions=self.client.instructions or "",
        )

    async def refresh(self) -> None:
        """List again, once for all notices that come within a moment."""
        self._stale = True
        if self._refreshing:
            return
        self._refreshing = True
        try:
            while self._stale:
                await anyio.sleep(self._pause())
                if self.ended.is_set():  # its next start lists again
                    return
                self._stale = False
                await self._list_again()
        finally:
            self._refreshing = False

    async def _list_again(self) -> None:
        self._times.append(anyio.current_time())
        try:
            with anyio.fail_after(self.patience):
                listing = await self.listed()
        except (MCPError, TimeoutError) as error:
            if isinstance(error, MCPError) and raw.is_over(error):
                self.ended.set()  # no fault of its lists
                return
            self._failures += 1
            self._stale = True
            why = str(error) or f"no answer within {self.patience:g} s"
            self.doubted(f"could not list again what it offers: {why}")
            return
        self._failures = 0
        self.recovered()
        self.changed(listing)

    def _pause(self) -> float:
        """Seconds to wait for more notices; the longer, the more there are of them and the more it fails."""
        if self._failures:
            return float(min(FAILED_SECONDS * 2 ** (self._failures - 1), LONGEST_PAUSE))
        lately = sum(anyio.current_time() - at < LATELY_SECONDS for at in self._times)
        return float(min(NOTICES_SECONDS * 2 ** max(lately - 2, 0), LONGEST_PAUSE))

    async def listen(self) -> None:
        """Follow the change notices of a modern server; a legacy one sends them by itself."""
        offers = self.client.server_capabilities
        tools = bool(offers.tools and offers.tools.list_changed)
        prompts = bool(offers.prompts and offers.prompts.list_changed)
        resources = bool(offers.resources and offers.resources.list_changed)
        if not raw.is_modern(self.client) or not (tools or prompts or resources):
            return
        while not self.ended.is_set():
            try:
                async with self.client.listen(
                    tools_list_changed=tools, prompts_list_changed=prompts, resources_list_changed=resources
                ) as events:
                    await self.refresh()  # it may have changed before it was listened to
                    async for _ in events:
                        await self.refresh()
            except ListenNotSupportedError:
                return
            except (MCPError, SubscriptionLost, TimeoutError) as error:
                log.info("%s: the stream of change notices ended: %s", self.entry.name, error)
            await anyio.sleep(1)

    async def _all(self, key: str) -> list[Definition]:
        """Every page of one list."""
        items: list[Definition] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            try:
                page = await raw.send(self.client, _LISTS[key], {"cursor": cursor} if cursor else {})
            except MCPError as error:
                if error.error.code == t.METHOD_NOT_FOUND:
                    break
                raise
            found = page.get(key)
            items += found if isinstance(found, list) else []
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or not cursor or len(items) > MOST_DEFINITIONS:
                break
        return self._usable(key, items)

    def _usable(self, key: str, items: list[Any]) -> list[Definition]:
        """Those that can be shown at all, without those of too many."""
        usable = [item for item in items[:MOST_DEFINITIONS] if _is_definition(key, item)]
        if left_out := len(items) - len(usable):
            log.warning(
                'Server "%s": %d of its %s are left out: they are malformed, or more than %s.',
                self.entry.name,
                left_out,
                key,
                f"{MOST_DEFINITIONS:,}",
            )
        return usable


def _is_definition(key: str, item: Any) -> bool:
    """Whether a definition has the shapes that it is read by."""
    if not isinstance(item, dict) or not isinstance(item.get(_NAMES[key]), str):
        return False
    if key == "tools" and not isinstance(item.get("inputSchema"), dict):
        return False
    objects = (item.get(name) or {} for name in ("annotations", "_meta", "outputSchema"))
    texts = (item.get(name) or "" for name in ("title", "description"))
    return all(isinstance(value, dict) for value in objects) and all(isinstance(text, str) for text in texts)


def _offers(capabilities: t.ServerCapabilities, key: str) -> bool:
    offered = {"tools": capabilities.tools, "prompts": capabilities.prompts}.get(key, capabilities.resources)
    return offered is not None
