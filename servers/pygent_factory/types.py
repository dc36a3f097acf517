"""The kinds of agent that ship: each a file in `configs/agents`, with the tools of its trade."""

from __future__ import annotations

from functools import cache

from pygent_factory.spec import Spec, read
from pygent_shared.errors import UnknownName
from pygent_shared.shipped import shipped


@cache
def types() -> dict[str, Spec]:
    """Every kind by its name."""
    return {path.stem: read(path) for path in sorted(shipped("agents").glob("*.toml"))}


def of(name: str) -> Spec:
    """The spec that an agent of a kind begins with.

    Raises:
        UnknownName: there is no such kind.
    """
    if name not in types():
        raise UnknownName("agent type", name, types(), "See them: agent_types()")
    return types()[name]
