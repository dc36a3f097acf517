"""The kinds of agent that ship: each a file in `configs/agents`, with the tools of its trade. A user's own
stand in folders of theirs (`files.py`), in the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pygent_factory.files import read
from pygent_factory.spec import Spec
from pygent_shared.errors import UnknownName
from pygent_shared.shipped import shipped


@cache
def types() -> dict[str, Spec]:
    """Every kind by its name."""
    return {path.stem: read(path) for path in sorted(shipped("agents").glob("*.toml"))}


NONE = "custom"
"""The type of an agent of no kind: nothing but a name, until it is configured."""


def of(name: str, kinds: Mapping[str, Spec] | None = None) -> Spec:
    """The spec that an agent of a kind begins with.

    Args:
        name: of one of the kinds, or "" for one of none.
        kinds: without any, those that ship.

    Raises:
        UnknownName: there is no such kind.
    """
    known = types() if kinds is None else kinds
    if name in ("", NONE) and name not in known:
        return Spec(type=NONE)
    if name not in known:
        raise UnknownName("agent type", name, known, "See them: agent_types()")
    return known[name]
