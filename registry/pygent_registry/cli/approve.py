"""`pygent approve`: what a server changed since it was approved, and the approval of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from pygent_registry.cli.parser import add_json, add_settings
from pygent_registry.cli.terminal import counted, print_json
from pygent_shared.errors import UnknownName

if TYPE_CHECKING:
    from pygent_registry.catalogue import Listing
    from pygent_registry.config import Config
    from pygent_registry.entry import Entry
    from pygent_registry.registry import Registry
    from pygent_registry.trust.pins import Pin
    from pygent_registry.trust.trust import Trust

EXAMPLE = "pygent approve github --diff"


@dataclass(kw_only=True)
class Review:
    """What a person is asked to look at: a line for each thing, and under it the lines that differ."""

    server: str
    launch: list[str] = field(default_factory=list)
    definitions: dict[str, list[str]] = field(default_factory=dict)


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="The server, as its entry in the config is called.")
    parser.add_argument("--diff", action="store_true", help="Show every change in full, and approve nothing.")
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.cli import session
    from pygent_registry.trust.trust import Trust

    settings = session.quiet_settings(chosen)
    config = session.config_in_force(settings)
    session.refuse_unusable(config, chosen.server)
    entry = _entry(config, chosen.server)
    if entry.server or settings.pins == "off":
        why = "pins are off" if settings.pins == "off" else "it is installed here, like pygent itself"
        print(f"{entry.name} needs no approval: {why}.")
        return 0
    trust = Trust(settings)
    pin = trust.pin(entry)
    review = Review(server=entry.name, launch=list(_launch_changes(pin, trust, entry)))
    listings: list[Listing] = []
    if not (review.launch and chosen.diff):  # to look at a changed launch must not run it
        if review.launch:
            trust.approve_launch(entry)
        listings = session.run(partial(_listed, entry.name), replace(config, entries=(entry,)), settings)
        review.definitions = dict(_definition_changes(pin, listings))
        if not chosen.diff:
            trust.approve(entry, listings)
    if chosen.json:
        print_json({**vars(review), "approved": not chosen.diff})
    else:
        print("\n".join(_lines(review, listings, in_full=chosen.diff)))
    return 0


def _entry(config: Config, name: str) -> Entry:
    entries = {entry.name: entry for entry in config.entries}
    if name not in entries:
        raise UnknownName("server", name, entries)
    return entries[name]


async def _listed(name: str, registry: Registry) -> list[Listing]:
    """What it offers in each protocol era. Nothing is pinned by looking."""
    registry.trust.only_looks = True
    for modern in (True, False):
        await registry.link(name, modern=modern)
    return [link.listing for link in registry.downstreams[name].links if link.listing]


def _launch_changes(pin: Pin | None, trust: Trust, entry: Entry) -> Iterator[str]:
    from pygent_registry.trust import pins

    if pin is not None and pins.changed_parts(pin.launch, now := trust.launch(entry)):
        yield from pins.changes(pin.launch, now)


def _definition_changes(pin: Pin | None, listings: list[Listing]) -> Iterator[tuple[str, list[str]]]:
    """Each definition that is not as it was, or that nobody looked at, or that the scan suspects."""
    from pygent_registry.trust import pins, scan

    offered = {key: facts for listing in listings for key, facts in pins.definitions(listing).items()}
    pin = pin or pins.Pin()
    for (kind, name), facts in offered.items():
        key, what = (kind, name), f'{kind} "{name}"' if name else kind
        forms = pin.definitions.get(key, {})
        suspicions = [
            f"! {finding.place}: {finding.rule}: {finding.words}"
            for finding in scan.scan(facts)
            if pins.sha256(facts) not in pin.approved
        ]
        if not forms or key in pin.new:
            yield f"new: {what}", [*pins.changes({}, facts), *suspicions]
        elif pins.sha256(facts) not in forms:
            before = list(forms.values())[-1]
            yield f"changed: {what}", [*pins.changes(before, facts), *suspicions]
        elif suspicions:
            yield f"suspicious: {what}", suspicions
    for (kind, name), _ in ((key, forms) for key, forms in pin.definitions.items() if key not in offered):
        yield f'gone: {kind} "{name}"' if name else f"gone: {kind}", []


def _lines(review: Review, listings: list[Listing], *, in_full: bool) -> Iterator[str]:
    from pygent_shared.unseen import spelled_out

    if review.launch:
        yield "changed: how it is started"
        yield from (f"    {spelled_out(line)}" for line in review.launch)
    for what, lines in review.definitions.items():
        yield spelled_out(what)
        yield from (f"    {spelled_out(line)}" for line in lines if in_full or line.startswith("! "))
    if in_full:
        if review.launch:
            yield "It was not started, so what it offers is not shown."
        some = bool(review.launch or review.definitions)
        yield (
            f"Approve it: pygent approve {review.server}"
            if some
            else "Nothing differs from what was approved."
        )
    else:
        tools = max((len(listing.tools) for listing in listings), default=0)
        yield f"Approved {review.server} as it is now, with {counted(tools, 'tool')}."
