"""What a server offers: listed when it is up, and again, once, for all its notices of change of a moment.

Lists are asked for raw, so that fields we do not know survive. One private part of the SDK is used for that,
in `Offer.listed`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import mcp.types as t
from mcp import Client, MCPError
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.inbound import x_mcp_header_map

from pygent_registry import raw
from pygent_registry.catalogue import Definition, Listing
from pygent_registry.config import Entry

log = logging.getLogger(__name__)

MOST_PAGES = 100
# A server's notices of change within this time of each other have it listed again once.
NOTICES_SECONDS = 0.1

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


@dataclass(kw_only=True)
class Offer:
    """What `entry`'s server offers over one connection."""

    entry: Entry
    client: Client
    changed: Callable[[Listing], None]
    """Gets what was listed again."""
    ended: anyio.Event
    """Set when the connection is of no more use: nothing is listed then."""
    _stale: bool = False

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
        if self._stale:
            return
        self._stale = True
        await anyio.sleep(NOTICES_SECONDS)
        self._stale = False
        if self.ended.is_set():  # its next start lists again
            return
        try:
            listing = await self.listed()
        except MCPError as error:
            log.warning('Server "%s" could not list again what it offers: %s', self.entry.name, error)
            return
        self.changed(listing)

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
            items += page.get(key, [])
            if not (cursor := page.get("nextCursor")):
                break
        return items


def _offers(capabilities: t.ServerCapabilities, key: str) -> bool:
    offered = {"tools": capabilities.tools, "prompts": capabilities.prompts}.get(key, capabilities.resources)
    return offered is not None
