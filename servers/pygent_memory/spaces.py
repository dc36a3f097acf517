"""Whose a space is, and which one a call means.

A caller has spaces of its own, by the names it gives them; another's is named OWNER/NAME and can be used once
its owner has shared it. The machine's own user, who could read the file as well, may use every space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from pygent_memory.memory import label, space_name
from pygent_memory.rows import SPACE, space_key
from pygent_shared.caller import OWNER, caller
from pygent_shared.database import Database
from pygent_shared.errors import InvalidArgument, NotAllowed

Access = Literal["read", "write"]


@dataclass(frozen=True, kw_only=True)
class Share:
    """That `principal` may read a space, or write to it too."""

    space: str
    principal: str
    access: Access


class Spaces:
    """The spaces of whoever calls.

    Args:
        database: opens the memory database.
        default: the space of a call that names none.
    """

    def __init__(self, database: Callable[[], Database], default: str) -> None:
        self._open = database
        self._default = default

    def reading(self, space: str) -> str:
        """The full name of a space the caller may read.

        Raises:
            InvalidArgument: the name is too long.
            NotAllowed: it is another's, and was not shared.
        """
        return self._full(space, ("read", "write"))

    def writing(self, space: str) -> str:
        """The full name of a space the caller may change, or make. Raises as `reading` does."""
        return self._full(space, ("write",))

    def need_all(self) -> None:
        """Refuse callers who may not use every space.

        Raises:
            NotAllowed: the caller is not the machine's own user.
        """
        if caller() != OWNER:
            why = "is for the machine's own user: it tells of everybody's spaces"
            raise NotAllowed("This", why, "See your own: memory_spaces.")

    def visible(self) -> list[str]:
        """The full names of the spaces that the caller may read, sorted."""
        rows = self._open().query(
            "SELECT name FROM space AS s WHERE ?1 = '' OR owner = ?1 OR EXISTS ("
            "SELECT 1 FROM space_grant WHERE space = s.id AND principal = ?1) ORDER BY name",
            (caller(),),
        )
        return [str(name) for (name,) in rows]

    def share(self, space: str, principal: str, access: Access | None) -> str:
        """Let somebody read a space of the caller's, or write to it too; None takes that back. Returns the
        space's full name.

        Raises:
            InvalidArgument: there is no such space, or no such somebody.
            NotAllowed: it is another's.
        """
        name, principal = self._full(space, ()), label(principal, "principal")
        if not principal:
            raise InvalidArgument("principal", "is empty", "Name an API key, or the subject of a token.")
        with self._open().write() as connection:
            key = space_key(connection.execute(SPACE, (name,)).fetchall())
            if key is None:
                raise InvalidArgument("space", f'"{name}" holds nothing yet', "Add a memory to it first.")
            if access is None:
                connection.execute(
                    "DELETE FROM space_grant WHERE space = ? AND principal = ?", (key, principal)
                )
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO space_grant VALUES (?, ?, ?)", (key, principal, access)
                )
        return name

    def shares(self) -> list[Share]:
        """What the caller has shared of its own, and what was shared with it."""
        rows = self._open().query(
            "SELECT s.name, g.principal, g.role FROM space_grant AS g JOIN space AS s ON s.id = g.space "
            "WHERE ?1 = '' OR s.owner = ?1 OR g.principal = ?1 ORDER BY s.name, g.principal",
            (caller(),),
        )
        return [
            Share(space=space, principal=principal, access=access)
            for space, principal, access in cast("list[tuple[str, str, Access]]", rows)
        ]

    def _full(self, space: str, enough: tuple[Access, ...]) -> str:
        """The full name of a space that is the caller's own or was shared with it for `enough`."""
        name = space_name(space or self._default)
        if (who := caller()) == OWNER:
            return name.removeprefix("/")
        full = name if "/" in name else f"{who}/{name}"
        found = self._open().query(
            "SELECT s.owner = ?2, (SELECT role FROM space_grant WHERE space = s.id AND principal = ?2) "
            "FROM space AS s WHERE name = ?1",
            (full.removeprefix("/"), who),
        )
        own, access = cast("tuple[int, str | None]", found[0]) if found else (_is_of(who, full), None)
        if not own and access not in enough:
            raise NotAllowed(
                f'"{name}"',
                "is not a space of yours, nor was it shared with you for this",
                f'Use one of your own, or ask its owner for: memory_share(principal="{who}")',
            )
        return full.removeprefix("/")


def _is_of(who: str, full: str) -> bool:
    """Whether a space that does not exist yet would be this caller's."""
    return full.rpartition("/")[0] == who
