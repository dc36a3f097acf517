"""A trial of every server: all are started side by side, and each is a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio

from pygent_registry.cli.check import Check, Facts, fail, ok, warn
from pygent_registry.cli.terminal import counted
from pygent_registry.config import Config
from pygent_registry.downstream import Downstream
from pygent_registry.link import Link
from pygent_registry.registry import Registry
from pygent_registry.search.front import ToolSearch
from pygent_registry.search.tools import tokens
from pygent_shared.errors import ServerUnavailable
from pygent_shared.settings import Settings

# A server whose start was given up still has to be ended, which takes a moment.
ENDING_SECONDS = 6.0


def hurried(config: Config, settings: Settings, timeout: float) -> tuple[Config, Settings]:
    """Both, such that every server is waited for, and none for longer than `timeout`."""
    entries = tuple(
        replace(entry, start_timeout=min(entry.start_timeout or settings.start_timeout, timeout))
        for entry in config.entries
    )
    patience = timeout + ENDING_SECONDS
    return replace(config, entries=entries), replace(settings, start_timeout=patience, list_patience=patience)


async def servers(registry: Registry) -> list[Check]:
    """Every server, all started side by side."""
    begun, seconds = anyio.current_time(), dict[str, float]()

    async def time_start(name: str, link: Link) -> None:
        with suppress(ServerUnavailable):
            await link.client()
            seconds[name] = anyio.current_time() - begun

    registry.trust.only_looks = True
    registry.start()
    async with anyio.create_task_group() as timing:
        for name, item in registry.downstreams.items():
            timing.start_soon(time_start, name, item.primary)
        await registry.settled()
        timing.cancel_scope.cancel()
    whole = anyio.current_time() - begun
    hide = registry.secrets.redactor().text
    each = [_server(item, seconds.get(name, whole), hide) for name, item in registry.downstreams.items()]
    tools = _tools(registry)  # lists, and so judges what is listed
    return [*each, tools, *_trust(registry)]


def _trust(registry: Registry) -> Iterator[Check]:
    """What waits for somebody's approval, or looks as if it gave a model orders."""
    for name, item in registry.downstreams.items():
        facts = registry.trust.report(item.entry).get("trust")
        if not facts:
            continue
        finding = "; ".join(
            [
                *(f"{what} {why}" for what, why in facts.get("withheld", {}).items()),
                *(f"{what} is new since it was approved" for what in facts.get("new", ())),
                *(
                    f"{what} is suspicious ({', '.join(why)})"
                    for what, why in facts.get("suspicious", {}).items()
                ),
                *([facts["why"]] if "why" in facts else []),
            ]
        )
        yield warn(
            f"trust {name}", finding, f"See it: {facts['approve']}" if "approve" in facts else "", facts
        )


def _tools(registry: Registry) -> Check:
    """What hosts are shown of all tools, and what that takes of their model's context."""
    catalogue = registry.catalogue(modern=True)
    shown = ToolSearch(registry.settings).shown(catalogue)
    every, some = tokens(catalogue.tools.values()), tokens(shown.values())
    facts = {"tools": len(catalogue.tools), "tokens": every, "shown": len(shown), "shown_tokens": some}
    listed = "all" if shown is catalogue.tools else f"{len(shown)}, to search the others by, about {some:,}"
    finding = (
        f"{counted(len(catalogue.tools), 'tool')}, about {every:,} tokens of definitions; listed: {listed}"
    )
    return ok("tools", finding, facts)


def _past(link: Link) -> Facts:
    """Since when it is as it is, how often it ended lately, and when it is tried next."""
    facts: dict[str, Any] = {"state": link.state, "since": link.since.isoformat(timespec="seconds")}
    if ends := link.record.lately(anyio.current_time()):
        facts["ended_lately"] = ends
    if link.next_try is not None:
        facts["next_try_s"] = round(link.next_try, 1)
    return facts


def _server(item: Downstream, seconds: float, hide: Callable[[str], str]) -> Check:
    link, subject = item.primary, f"server {item.entry.name}"
    if not link.is_up or link.listing is None:
        return fail(subject, hide(link.why) or "is still starting", hide(link.cure), _past(link))
    listed = link.listing.tools
    taken = tokens(listed)
    facts: dict[str, Any] = {"era": "2026" if link.modern else "2025", "tools": len(listed), "tokens": taken}
    finding = (
        f"up in {seconds:.1f} s, {facts['era']} era, {counted(len(listed), 'tool')} "
        f"(their definitions: about {taken:,} tokens)"
    )
    facts["seconds"] = round(seconds, 3)
    if link.state == "degraded":
        facts |= {"state": link.state, "since": link.since.isoformat(timespec="seconds")}
        doubt = f"is up, but in doubt since {link.since.astimezone():%H:%M:%S}: {hide(link.why)}"
        return warn(subject, doubt, hide(link.cure), facts)
    if link.output.rubbish:
        finding += f', but it wrote rubbish to stdout, such as "{link.output.last_rubbish}"'
        cure = "A server may print only MCP to stdout; make it log to stderr."
        return warn(subject, finding, cure, facts)
    return ok(subject, finding, facts)
