"""The workflows there are by name: those that ship with the program, and those that were defined since."""

from __future__ import annotations

from functools import cache

from pygent_orchestration import reading
from pygent_orchestration.spec import Definition
from pygent_orchestration.store import SHIPPED, Store
from pygent_shared.errors import InvalidArgument, UnknownName
from pygent_shared.shipped import shipped


@cache
def patterns() -> dict[str, Definition]:
    """Those that ship: the files in `configs/workflows`."""
    return {path.stem: reading.file(path) for path in sorted(shipped("workflows").glob("*.*ml"))}


class Library:
    """Finds them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*patterns(), *self._store.names()})

    def get(self, name: str, version: int | None = None) -> tuple[int, Definition]:
        """A version of a workflow, and its number; the newest if none is named.

        Raises:
            UnknownName: there is none of that name, or no such version.
        """
        if found := self._store.definition(name, version):
            return found
        if name in patterns() and version in (None, SHIPPED):
            return SHIPPED, patterns()[name]
        if version is not None and (newest := self.get(name)):
            raise UnknownName("version", f"{name}/{version}", [f"{name}/{n}" for n in range(newest[0] + 1)])
        raise UnknownName("workflow", name, self.names(), "See them: list_workflows().")

    def uses(self, name: str, definition: Definition) -> dict[str, Definition]:
        """The workflows that one uses, and those that these use, as they are now.

        Raises:
            UnknownName: one of them there is not.
            InvalidArgument: one uses itself.
        """
        found: dict[str, Definition] = {}
        self._add(definition, (name,), found)
        return found

    def _add(self, definition: Definition, way: tuple[str, ...], found: dict[str, Definition]) -> None:
        for name in sorted(definition.uses):
            if name in way:
                circle = " → ".join((*way, name))
                raise InvalidArgument("workflow", f"uses itself: {circle}", "Use repeat for what goes round.")
            _, found[name] = self.get(name)
            self._add(found[name], (*way, name), found)
