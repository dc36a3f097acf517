"""Who codes a task, where nobody is named for it: agents of the factory, by what each can be asked for and
what it has in hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from pygent_orchestration.actions import FACTORY, Actions, Red
from pygent_orchestration.assignment import Candidate, able, assigned
from pygent_orchestration.features.model import Plan, Prp, Request
from pygent_orchestration.features.planning import Unusable
from pygent_orchestration.features.store import FeatureStore

CODE = "code"
"""What every coder must be able to."""
ROOM_SECONDS = 1.0
"""Between two looks whether somebody has room."""


class Crew:
    """They.

    Args:
        actions: how the factory is asked.
        store: knows what each agent has in hand.
        limit: how many tasks one may have; None is any number.
    """

    def __init__(self, actions: Actions, store: FeatureStore, limit: int | None) -> None:
        self._actions = actions
        self._store = store
        self._limit = limit

    async def candidates(self, request: Request) -> list[Candidate]:
        """The deployed agents that can be asked to code, but for the feature's reviewer.

        Raises:
            Red, PygentError: the factory cannot be asked.
        """
        asked = {"capability": CODE, "state": "deployed"}
        found = await self._actions.tool(f"{FACTORY}list_agents", asked)
        loads = self._store.in_hand()
        return [
            Candidate(
                name=row["name"],
                capabilities=frozenset(row["capabilities"]),
                load=loads.get(row["name"], 0),
                limit=self._limit,
            )
            for row in found["agents"]
            if row["name"] != request.reviewer
        ]

    async def coder(self, request: Request, task: Prp) -> str:
        """Who is given a task: once somebody has room who can do it.

        Raises:
            Red: nobody can do it, or the factory cannot be asked.
            PygentError: likewise.
        """
        while True:
            candidates = await self.candidates(request)
            if why := lacking(task, candidates):
                raise Red(why)
            if chosen := assigned(wanted(task), candidates):
                return chosen.name
            await anyio.sleep(ROOM_SECONDS)


def wanted(task: Prp) -> frozenset[str]:
    """What a task's coder must be able to."""
    return frozenset([CODE, *task.capabilities])


def lacking(task: Prp, candidates: Sequence[Candidate]) -> str:
    """Why nobody can do a task; empty where somebody can."""
    if able(wanted(task), candidates):
        return ""
    can = sorted(", ".join(sorted(each.capabilities)) for each in candidates)
    has = f"there are agents for: {'; '.join(can)}" if can else "there is none that can code"
    return f'No deployed agent can do task "{task.id}", which wants {", ".join(sorted(wanted(task)))}: {has}.'


def doable(plan: Plan, candidates: Sequence[Candidate]) -> Plan:
    """A plan of which somebody can do each task.

    Raises:
        Unusable: nobody can do one.
    """
    if problems := list(filter(None, (lacking(task, candidates) for task in plan.tasks))):
        raise Unusable(" ".join(problems))
    return plan
