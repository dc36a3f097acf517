"""Which space a call means."""

from __future__ import annotations

from pygent_memory.memory import space_name
from pygent_shared.settings import Settings


class Spaces:
    """The spaces of whoever calls.

    Args:
        settings: names the space of a call that names none.
    """

    def __init__(self, settings: Settings) -> None:
        self._default = settings.space

    def reading(self, space: str) -> str:
        """The full name of a space the caller may read.

        Raises:
            InvalidArgument: the name is empty or too long.
        """
        return space_name(space or self._default)

    def writing(self, space: str) -> str:
        """The full name of a space the caller may change.

        Raises:
            InvalidArgument: the name is empty or too long.
        """
        return self.reading(space)
