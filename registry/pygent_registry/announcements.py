"""What fronts are told of the lists: each real change, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from pygent_registry.catalogue import Catalogue, Shown, changes, shown_by_server

ListChanged = Callable[[str, set[str], bool], Awaitable[None]]
"""Told the kind ("tools", "prompts" or "resources") that changed, the servers whose it is, and whether it is
hosts of the 2026 era that see the change.
"""


class Composed(Protocol):
    """Gives the catalogue that hosts of an era see."""

    def __call__(self, *, modern: bool) -> Catalogue: ...


class Announcements:
    """Tells fronts what is shown otherwise than when they were last told.

    Args:
        catalogue: what is shown now.
    """

    def __init__(self, catalogue: Composed) -> None:
        self.fronts: list[ListChanged] = []
        self._catalogue = catalogue
        self._last: dict[bool, Shown] = {}

    def begin(self) -> None:
        """Somebody is given a list for the first time: from now on there is something that can change."""
        self._last = self._last or self._shown()

    async def tell(self) -> None:
        """Tell every front what changed since."""
        if not self._last:
            return
        before, self._last = self._last, self._shown()
        for modern, shown in self._last.items():
            for kind, servers in changes(before[modern], shown).items():
                for front in list(self.fronts):
                    await front(kind, servers, modern)

    def _shown(self) -> dict[bool, Shown]:
        """By whether hosts are of the 2026 era."""
        return {modern: shown_by_server(self._catalogue(modern=modern)) for modern in (False, True)}
