"""What a registry may start, and what of it a model may see: pins, scan and hygiene together.

The suite's own servers and other installed packages (`"server"` entries) are as trusted as this program, and
are neither pinned nor scanned; their texts are stripped like all others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pygent_registry.abridge import size_of
from pygent_registry.catalogue import Definition, Listing, shown_name
from pygent_registry.entry import Entry
from pygent_registry.trust import pins, programs, scan
from pygent_registry.trust.pins import Differences, Facts, Key, Pin
from pygent_registry.trust.scan import Finding
from pygent_registry.trust.store import PinFile, Pins
from pygent_registry.trust.text import what_is_wrong
from pygent_shared.errors import FileRefused, NotApproved
from pygent_shared.settings import Settings
from pygent_shared.unseen import stripped_all

log = logging.getLogger(__name__)

PIN_FILE = "pins.json"
MOST_BYTES = 256 * 1024
"""Of one definition. The largest of LiveMCPBench's 527 takes 6,486."""
# What names a thing or is compared, and so must reach the host as it is.
IDENTIFIERS = frozenset({"name", "uri", "uriTemplate", "mimeType", "icons", "_meta", "required"})


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


class Trust:
    """Judges what the servers of a registry offer, and remembers what it trusted first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = PinFile(settings.data_dir / PIN_FILE)
        self._verdicts: dict[str, list[Verdict]] = {}
        self._hashes = programs.Hashes()
        self._said: set[tuple[str, Key, str]] = set()
        self.only_looks = False
        """Whether nothing is pinned: for commands that change nothing."""

    def allow_start(self, entry: Entry) -> None:
        """Raise unless a server may be started as its entry now says.

        Raises:
            NotApproved: it was approved with another launch.
            FileRefused: the pins cannot be read.
        """
        if (pin := self.pin(entry)) is None:
            return
        now = self.launch(entry)
        if parts := pins.changed_parts(pin.launch, now):
            changed = ", ".join(parts)
            why = f"is to be started otherwise than approved (its {changed} changed), so it is not started"
            raise NotApproved(entry.name, f'Server "{entry.name}"', why)
        if pins.PROGRAM in now and pins.PROGRAM not in pin.launch:  # pinned when programs were not hashed yet
            self._keep(entry.name, pin, lambda kept: replace(kept, launch=now))

    def cleared(self, entry: Entry, listing: Listing) -> Listing:
        """What of a listing may be shown. The first one of a server is trusted and pinned."""
        known = self._verdicts.setdefault(entry.name, [])
        for verdict in known:
            if verdict.listing is listing:
                return verdict.cleared
        verdict = self._judge(entry, listing)
        self._verdicts[entry.name] = [*known[-1:], verdict]  # a listing for each era
        self._say(entry.name, verdict)
        return verdict.cleared

    def forget_all_but(self, names: Collection[str]) -> None:
        """Drop what was found of servers that are there no more. Their pins stay."""
        self._verdicts = {name: known for name, known in self._verdicts.items() if name in names}

    def refuse_withheld(self, entry: Entry, prefix: str, kind: str, shown: str) -> None:
        """Raise if the name, as shown, is of something withheld.

        Raises:
            NotApproved: it is.
        """
        for verdict in self._verdicts.get(entry.name, ()):
            for (of_kind, name), why in verdict.withheld.items():
                match kind:
                    case "tool":
                        known_as = entry.shown_as(name, prefix=prefix)
                    case "prompt":
                        known_as = shown_name(prefix, name)
                    case _:
                        known_as = name
                if of_kind == kind and known_as == shown:
                    raise NotApproved(entry.name, f'The {kind} "{shown}"', why)

    def was_approved_elsewhere(self) -> bool:
        """Whether another process changed the pins since something was withheld; then all is judged anew."""
        some = any(verdict.withheld for known in self._verdicts.values() for verdict in known)
        if self._settings.pins == "off" or not some:
            return False
        try:
            if not self._file.has_news():
                return False
        except FileRefused:
            return False  # said when it is read
        self._verdicts.clear()
        return True

    def approve(self, entry: Entry, listings: Iterable[Listing]) -> None:
        """Pin a server as it is now.

        Raises:
            FileRefused: the pins cannot be read or written.
        """
        pin = pins.approved(self.launch(entry), *map(pins.definitions, listings))
        self._file.change(partial(_put, entry.name, pin))
        self._verdicts.pop(entry.name, None)

    def approve_launch(self, entry: Entry) -> None:
        """Let a known server start as its entry now says; what it then offers is compared as ever.

        Raises:
            FileRefused: the pins cannot be read or written.
        """
        if pin := self.pin(entry):
            now = self.launch(entry)
            self._keep(entry.name, pin, lambda kept: replace(kept, launch=now))

    def launch(self, entry: Entry) -> Facts:
        """How an entry is started, as it is pinned."""
        program = programs.executable(entry)
        try:
            return pins.launch(entry, self._hashes.sha256(program) if program else "")
        except OSError:  # it may be executed but not read, or has just gone
            return pins.launch(entry)

    def forget(self, server: str) -> None:
        """Meet a server as a new one, the next time.

        Raises:
            FileRefused: the pins cannot be read or written.
        """
        if server in self._file.read():
            self._file.change(partial(_forget, server))

    def pin(self, entry: Entry) -> Pin | None:
        """What is pinned of a server.

        Raises:
            FileRefused: the pins cannot be read.
        """
        return self._file.read().get(entry.name) if self._is_pinned(entry) else None

    def report(self, entry: Entry) -> dict[str, Any]:
        """What a person should know about a server's trust; empty where there is nothing."""
        verdicts = self._verdicts.get(entry.name, [])
        withheld = {_spelled(key): why for verdict in verdicts for key, why in verdict.withheld.items()}
        try:
            pin = self.pin(entry)
        except FileRefused as error:
            return {"trust": {"why": str(error)}}
        new = sorted(_spelled(key) for key in pin.new) if pin else []
        told = {
            "withheld": withheld,
            "new": new,
            "suspicious": self._suspicious(entry),
        }
        told = {name: fact for name, fact in told.items() if fact}
        return {"trust": told | {"approve": f"pygent approve {entry.name} --diff"}} if told else {}

    def _suspicious(self, entry: Entry) -> dict[str, list[str]]:
        """The rules that matched, by what they matched in; others' tools as they are listed now."""
        others = {
            str(tool["name"]): str(tool.get("description") or "")
            for server, verdicts in self._verdicts.items()
            for verdict in verdicts
            for tool in verdict.listing.tools
            if server != entry.name
        }
        found: dict[str, set[str]] = {}
        for verdict in self._verdicts.get(entry.name, ()) if self._is_scanned(entry) else ():
            for key, items in verdict.findings.items():
                found.setdefault(_spelled(key), set()).update(item.rule for item in items)
            for tool in verdict.listing.tools:
                for item in scan.scan_beside(tool, others):
                    found.setdefault(_spelled(("tool", str(tool["name"]))), set()).add(item.rule)
        return {what: sorted(rules) for what, rules in found.items()}

    def _is_scanned(self, entry: Entry) -> bool:
        return self._settings.scan != "off" and not entry.server

    def _is_pinned(self, entry: Entry) -> bool:
        return self._settings.pins == "on" and not entry.server

    def _judge(self, entry: Entry, listing: Listing) -> Verdict:
        too_large = {} if entry.server else dict(_oversized(listing))
        withheld = too_large if entry.server else too_large | dict(_misnamed(listing))
        findings: dict[Key, list[Finding]] = {}
        offered = {key: facts for key, facts in pins.definitions(listing).items() if key not in too_large}
        pin = None
        if self._is_pinned(entry):
            try:
                pin, differing = self._compare(entry, offered)
                withheld |= dict.fromkeys(
                    differing.changed, "was changed by its server since it was approved"
                )
                withheld |= dict.fromkeys(differing.new, "is new on its server, and not approved")
            except FileRefused as error:
                withheld |= dict.fromkeys(offered, f"cannot be compared with what was approved: {error}")
        if self._is_scanned(entry):
            findings = {key: found for key, facts in offered.items() if (found := scan.scan(facts))}
            for key, found in findings.items():
                by_person = pin is not None and pins.sha256(offered[key]) in pin.approved
                if self._settings.scan == "block" and scan.severe(found) and not by_person:
                    withheld[key] = f'gives the model orders ("{scan.severe(found)[0].words}")'
        shown = {kind: _without(kind, key, items, withheld) for kind, key, items in pins.offers(listing)}
        cleared = replace(
            listing,
            tools=shown["tool"],
            prompts=shown["prompt"],
            resources=shown["resource"],
            templates=shown["template"],
        )
        return Verdict(listing=listing, cleared=cleared, withheld=withheld, findings=findings)

    def _compare(self, entry: Entry, offered: dict[Key, Facts]) -> tuple[Pin, Differences]:
        """The pin as it is from now on, and what stays withheld."""
        pin = self._file.read().get(entry.name)
        if pin is None:
            # Another process may have met it meanwhile: then its pin holds.
            pin = self._keep(entry.name, pins.first(self.launch(entry), offered), lambda kept: kept)
        differing = pins.differences(pin, offered)
        asked_for = {
            key: facts
            for key, facts in differing.new.items()
            if self._settings.trust_new_tools == "ask" and key[0] != pins.DATA
        }
        if let_in := {key: facts for key, facts in differing.new.items() if key not in asked_for}:
            pin = self._keep(entry.name, pin, lambda kept: pins.let_in(kept, let_in))
        return pin, Differences(changed=differing.changed, new=asked_for)

    def _keep(self, server: str, pin: Pin, becomes: Callable[[Pin], Pin]) -> Pin:
        """What the pin becomes. It is changed as it is in the file now: others write there too.

        Args:
            server: whose it is.
            pin: what is taken where the file has none.
            becomes: the change.
        """
        if self.only_looks:
            return becomes(pin)

        def change(whole: Pins) -> None:
            whole[server] = becomes(whole.get(server, pin))

        self._file.change(change)
        return self._file.read()[server]

    def _say(self, server: str, verdict: Verdict) -> None:
        """Each thing once."""
        found = {
            key: f'may give the model orders ("{bad[0].words}")'
            for key, items in verdict.findings.items()
            if (bad := scan.severe(items))
        }
        for key, why in (found | verdict.withheld).items():
            if (server, key, why) not in self._said:
                self._said.add((server, key, why))
                cure = f"See it: pygent approve {server} --diff"
                log.warning('Server "%s": its %s %s. %s', server, _spelled(key), why, cure)


def _put(server: str, pin: Pin, whole: Pins) -> None:
    whole[server] = pin


def _forget(server: str, whole: Pins) -> None:
    whole.pop(server, None)


def _oversized(listing: Listing) -> Iterator[tuple[Key, str]]:
    """What is so large that it would cost every host its context, and is neither kept nor scanned."""
    for kind, name_key, items in pins.offers(listing):
        for item in items:
            if (size := size_of(item)) > MOST_BYTES:
                why = f"is defined by {size:,} bytes, but at most {MOST_BYTES:,} are shown"
                yield (kind, str(item[name_key])), why


def _misnamed(listing: Listing) -> Iterator[tuple[Key, str]]:
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


def _without(
    kind: pins.Kind, name_key: str, items: tuple[Definition, ...], withheld: dict[Key, str]
) -> tuple[Definition, ...]:
    """The items that are not withheld, each stripped of what nobody sees."""
    kept = (item for item in items if (kind, str(item[name_key])) not in withheld)
    return tuple(_seen(item) for item in kept)


def _seen(item: Definition) -> Definition:
    shown, count = stripped_all(item, but=IDENTIFIERS)
    return {**shown, "_meta": {**(shown.get("_meta") or {}), STRIPPED: count}} if count else item


STRIPPED = "pygent/stripped"
"""The `_meta` key that says how many characters were taken out."""


def _spelled(key: Key) -> str:
    kind, name = key
    return f'{kind} "{name}"' if name else kind
