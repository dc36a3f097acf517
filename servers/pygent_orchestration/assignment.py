"""Who is given a task: by what it can be asked for, and by what it has in hand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One who may be given tasks.

    Args:
        load: how many it has in hand.
        limit: how many it may have; None is any number.
    """

    name: str
    capabilities: frozenset[str]
    load: int = 0
    limit: int | None = None


def able(wanted: Collection[str], candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that can be asked for all of it, however much they have in hand, the best first: who has least in
    hand, then who can be asked for least besides, then by name."""
    wanted = frozenset(wanted)
    fit = [candidate for candidate in candidates if wanted <= candidate.capabilities]
    return sorted(fit, key=lambda each: (each.load, len(each.capabilities - wanted), each.name))


def assigned(wanted: Collection[str], candidates: Sequence[Candidate]) -> Candidate | None:
    """Who is given a task that wants these capabilities; None while all who can do it have their fill."""
    for candidate in able(wanted, candidates):
        if candidate.limit is None or candidate.load < candidate.limit:
            return candidate
    return None
