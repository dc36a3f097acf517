"""What was approved of a server, and what differs from it now. Pure.

A definition is pinned by the sha-256 of its canonical form; how the server is started is pinned as it stands
in the config file, with the names of variables and headers, never with their values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pygent_registry.catalogue import Definition, Listing
from pygent_registry.entry import Entry

Kind = Literal["tool", "prompt", "resource", "template", "instructions"]
Key = tuple[Kind, str]
"""A kind, and the name that the server itself gives."""
Facts = dict[str, Any]

# What a model or a host acts on. The rest (icons, sizes, times) may change freely.
_FIELDS = (
    "name title description inputSchema outputSchema annotations arguments uri uriTemplate mimeType text"
)
CARD = "pygent/card"
"""The `_meta` key under which our own A2A client tells what an agent's card says besides."""
_FREE_ANNOTATIONS = ("lastModified",)
# Lists of these come and go with the data behind a server, so a new one is no news.
DATA: Kind = "resource"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What was approved of one server."""

    launch: Facts = field(default_factory=dict)
    definitions: Mapping[Key, Mapping[str, Facts]] = field(default_factory=dict)
    """By key, every approved form by its hash: a server may describe a tool otherwise in each era."""
    approved: frozenset[str] = frozenset()
    """Hashes that a person approved; the others were trusted on first use."""
    new: frozenset[Key] = frozenset()
    """What came later, was let in by the setting, and was looked at by nobody yet."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What a server offers that is not as approved."""

    changed: Mapping[Key, Facts] = field(default_factory=dict)
    new: Mapping[Key, Facts] = field(default_factory=dict)


def canonical(definition: Definition) -> Facts:
    """The pinned part of a definition, in one form whatever the order in which it was written."""
    kept = {name: definition[name] for name in _FIELDS.split() if definition.get(name) is not None}
    if isinstance(notes := kept.get("annotations"), Mapping):
        kept["annotations"] = {key: notes[key] for key in notes if key not in _FREE_ANNOTATIONS}
    if isinstance(card := (definition.get("_meta") or {}).get(CARD), Mapping):
        kept["card"] = card
    settled: Facts = _settled(kept)
    return settled


def sha256(facts: Facts) -> str:
    """The hash of a canonical form."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def definitions(listing: Listing) -> dict[Key, Facts]:
    """Everything a server offers, in canonical form."""
    found: dict[Key, Facts] = {}
    for kind, name_key, offered in offers(listing):
        for definition in offered:
            found[kind, str(definition[name_key])] = canonical(definition)
    if listing.instructions:
        found["instructions", ""] = {"text": listing.instructions}
    return found


def offers(listing: Listing) -> Iterator[tuple[Kind, str, tuple[Definition, ...]]]:
    """Each list of a listing, with its kind and the key that names what is in it."""
    yield "tool", "name", listing.tools
    yield "prompt", "name", listing.prompts
    yield "resource", "uri", listing.resources
    yield "template", "uriTemplate", listing.templates


PROGRAM = "program"


def launch(entry: Entry, program: str = "") -> Facts:
    """How an entry is started or reached, as it is written: a variable's name is pinned, not its value.

    Args:
        program: the sha-256 of the program's file, where that is pinned (`programs.py`).
    """
    written = entry.written or vars(entry)
    facts = {
        "command": written.get("command"),
        "args": [str(word) for word in written.get("args") or ()],
        "cwd": written.get("cwd"),
        "url": written.get("url"),
        "card": written.get("card"),
        "env": sorted(written.get("env") or ()),
        "headers": sorted(written.get("headers") or ()),
        "auth": _without_secret(entry.written.get("auth")),
        "sandbox": written.get("sandbox"),
        PROGRAM: program,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _without_secret(auth: object) -> Facts:
    return {key: auth[key] for key in auth if key != "client_secret"} if isinstance(auth, dict) else {}


def changed_parts(before: Facts, after: Facts) -> list[str]:
    """The parts of a launch that differ. A program that was not hashed, then or now, does not differ."""
    differing = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    return sorted(differing if PROGRAM in before and PROGRAM in after else differing - {PROGRAM})


def differences(pin: Pin, offered: Mapping[Key, Facts]) -> Differences:
    """What is offered in another form than approved, and what was not there."""
    changed = {
        key: facts
        for key, facts in offered.items()
        if key in pin.definitions and sha256(facts) not in pin.definitions[key]
    }
    return Differences(
        changed=changed, new={key: facts for key, facts in offered.items() if key not in pin.definitions}
    )


def first(launched: Facts, offered: Mapping[Key, Facts]) -> Pin:
    """The pin of a server met for the first time."""
    return Pin(launch=launched, definitions={key: {sha256(facts): facts} for key, facts in offered.items()})


def let_in(pin: Pin, new: Mapping[Key, Facts]) -> Pin:
    """The pin with what is new in it, remembered as new."""
    added = {key: {sha256(facts): facts} for key, facts in new.items()}
    unseen = {key for key in new if key[0] != DATA}
    return replace(pin, definitions={**pin.definitions, **added}, new=pin.new | unseen)


def approved(launched: Facts, *offered: Mapping[Key, Facts]) -> Pin:
    """The pin of a server that a person approved as it is, in each era it was listed in."""
    forms: dict[Key, dict[str, Facts]] = {}
    for listed in offered:
        for key, facts in listed.items():
            forms.setdefault(key, {})[sha256(facts)] = facts
    hashes = frozenset(mark for form in forms.values() for mark in form)
    return Pin(launch=launched, definitions=forms, approved=hashes)


def changes(before: Facts, after: Facts) -> Iterator[str]:
    """What differs between two of either kind, a line for each side of each place."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    for place in [*old, *(place for place in new if place not in old)]:
        if old.get(place) != new.get(place):
            if place in old:
                yield f"- {place}: {old[place]}"
            if place in new:
                yield f"+ {place}: {new[place]}"


def to_json(pin: Pin) -> Facts:
    """A pin as the file keeps it."""
    return {
        "launch": pin.launch,
        "definitions": [
            {"kind": kind, "name": name, "forms": dict(forms)}
            for (kind, name), forms in sorted(pin.definitions.items())
        ],
        "approved": sorted(pin.approved),
        "new": sorted(map(list, pin.new)),
    }


def from_json(kept: Facts) -> Pin:
    """A pin from the file.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no pin.
    """
    forms = {(item["kind"], item["name"]): item["forms"] for item in kept["definitions"]}
    if any(sha256(facts) != mark for form in forms.values() for mark, facts in form.items()):
        raise ValueError("a hash does not fit its definition")
    return Pin(
        launch=dict(kept["launch"]),
        definitions=forms,
        approved=frozenset(kept["approved"]),
        new=frozenset((kind, name) for kind, name in kept["new"]),
    )


def _settled(value: Any) -> Any:
    """JSON in one form: `required` is a set, and 1.0 is 1."""
    match value:
        case dict():
            return {
                key: sorted(item)
                if key == "required"
                and isinstance(item, list)
                and all(isinstance(word, str) for word in item)
                else _settled(item)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_settled(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{place}[{number}]")
    else:
        yield place, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
