"""What may be the name of something that people define: an agent, a workflow."""

from __future__ import annotations

import re

from pygent_shared.errors import InvalidArgument

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def checked_name(name: str, example: str) -> str:
    """A name that may be given; `example` is one in the words of what is named.

    Raises:
        InvalidArgument: it may not.
    """
    if NAME.fullmatch(name):
        return name
    why = f"{name[:70]!r} is not a name of at most 63 letters a-z, digits, - and _ that begins with a letter"
    raise InvalidArgument("name", why, f'Take one such as "{example}".')
