"""A listing, judged: what of it is shown, and what is withheld whatever was approved. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pygent_registry.abridge import size_of
from pygent_registry.catalogue import Definition, Listing
from pygent_registry.trust import pins
from pygent_registry.trust.pins import Key
from pygent_registry.trust.scan import Finding
from pygent_registry.trust.text import what_is_wrong
from pygent_shared.unseen import stripped_all

MOST_BYTES = 256 * 1024
"""Of one definition. The largest of LiveMCPBench's 527 takes 6,486."""
# What names a thing or is compared, and so must reach the host as it is.
IDENTIFIERS = frozenset({"name", "uri", "uriTemplate", "mimeType", "icons", "_meta", "required"})
STRIPPED = "pygent/stripped"
"""The `_meta` key that says how many characters were taken out."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A listing, judged."""

    listing: Listing
    """As it came."""
    cleared: Listing
    """What of it may be shown, without what nobody sees."""
    withheld: dict[Key, str]
    """What may not, with the reason as a clause."""
    findings: dict[Key, list[Finding]]


def oversized(listing: Listing) -> Iterator[tuple[Key, str]]:
    """What is so large that it would cost every host its context, and is neither kept nor scanned."""
    for kind, name_key, items in pins.offers(listing):
        for item in items:
            if (size := size_of(item)) > MOST_BYTES:
                why = f"is defined by {size:,} bytes, but at most {MOST_BYTES:,} are shown"
                yield (kind, str(item[name_key])), why


def misnamed(listing: Listing) -> Iterator[tuple[Key, str]]:
    """What is called so that a person or a model would take it for something else."""
    for kind, name_key, items in pins.offers(listing):
        for item in items:
            name = str(item[name_key])
            keys = (item.get("inputSchema") or {}).get("properties") or {}
            arguments = (str(argument.get("name")) for argument in item.get("arguments") or ())
            for word in (name, *keys, *arguments):
                if why := what_is_wrong(word):
                    yield (
                        (kind, name),
                        f"has a name that {why}" if word == name else f"has an argument that {why}",
                    )


def without(withheld: Mapping[Key, str], listing: Listing) -> Listing:
    """The listing as it may be shown: without what is withheld, and without what nobody sees."""
    shown = {kind: _kept(kind, key, items, withheld) for kind, key, items in pins.offers(listing)}
    return replace(
        listing,
        tools=shown["tool"],
        prompts=shown["prompt"],
        resources=shown["resource"],
        templates=shown["template"],
    )


def _kept(
    kind: pins.Kind, name_key: str, items: tuple[Definition, ...], withheld: Mapping[Key, str]
) -> tuple[Definition, ...]:
    """The items that are not withheld, each stripped of what nobody sees."""
    kept = (item for item in items if (kind, str(item[name_key])) not in withheld)
    return tuple(_seen(item) for item in kept)


def _seen(item: Definition) -> Definition:
    shown, count = stripped_all(item, but=IDENTIFIERS)
    return {**shown, "_meta": {**(shown.get("_meta") or {}), STRIPPED: count}} if count else item
