"""What servers must not say: the secrets in their entries, and the access tokens that were got for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from pygent_registry.catalogue import Listing
from pygent_registry.entry import Entry
from pygent_registry.redaction import SHORTEST, Redactor, secrets_of


class Secrets:
    """The secrets of the servers of a config.

    Args:
        entries: the config's.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._learnt: dict[str, deque[str]] = {}
        self.take_over(entries)

    def take_over(self, entries: Iterable[Entry]) -> None:
        """Know the secrets of these entries from now on, and no others."""
        self._entries = {entry.name: entry for entry in entries}
        self._learnt = {name: tokens for name, tokens in self._learnt.items() if name in self._entries}
        self._redactor: Redactor | None = None

    def learn(self, server: str, token: str) -> None:
        """Know an access token of a server as a secret, and the one before it, which may be in use still."""
        if len(token) >= SHORTEST and server in self._entries:
            self._learnt.setdefault(server, deque(maxlen=2)).append(token)
            self._redactor = None

    def redactor(self) -> Redactor:
        """Takes out all that is known now."""
        if self._redactor is None:
            secrets = {secret for entry in self._entries.values() for secret in secrets_of(entry)}
            self._redactor = Redactor(secrets | {token for known in self._learnt.values() for token in known})
        return self._redactor

    def left_out_of(self, listing: Listing) -> Listing:
        """What a server lists, without what it should have kept to itself."""
        hide = self.redactor().value
        return replace(
            listing,
            tools=tuple(map(hide, listing.tools)),
            prompts=tuple(map(hide, listing.prompts)),
            resources=tuple(map(hide, listing.resources)),
            templates=tuple(map(hide, listing.templates)),
            instructions=hide(listing.instructions),
        )
