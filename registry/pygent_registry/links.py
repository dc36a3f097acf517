"""Resources that a server has given a link to: whose they are, also where it never listed them. Pure.

A link is read at the server that gave it, never at another. Where another server has the same address, the
link is given one of ours instead (`pygent://links/…`): a server can neither take another's address nor have
the host read there.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict

from pygent_registry.catalogue import Target

URI = "pygent://links/"
MOST_OF_ONE_CALLER = 4096


class Links:
    """The latest links that each caller was given."""

    def __init__(self, most: int = MOST_OF_ONE_CALLER) -> None:
        self._most = most
        self._given: dict[str, OrderedDict[str, Target]] = {}

    def give(self, caller: str, server: str, uri: str, owner: str | None) -> str:
        """The address under which a caller may read what a server links to.

        Args:
            owner: whose the address is by what all servers list; None where nobody lists it.
        """
        if owner == server:
            return uri
        given = self._given.setdefault(caller, OrderedDict())
        target = Target(server=server, name=uri)
        if owner is None and given.get(uri, target) == target:
            return self._keep(given, uri, target)
        same = (shown for shown, found in given.items() if found == target)
        return self._keep(given, next(same, None) or URI + secrets.token_urlsafe(24), target)

    def find(self, caller: str, shown: str) -> Target | None:
        """The server that gave this caller the link, and its own address of it."""
        return given.get(shown) if (given := self._given.get(caller)) else None

    def _keep(self, given: OrderedDict[str, Target], shown: str, target: Target) -> str:
        given[shown] = target
        given.move_to_end(shown)
        if len(given) > self._most:
            given.popitem(last=False)
        return shown
