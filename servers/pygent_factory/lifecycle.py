"""The life of an agent: which moves are legal in which state, and where they lead. What is absent is illegal.

    draft ──configure──> configured ──deploy──> deployed <──deploy── paused
    └edit^                                          └──────pause──────^

An agent can be configured in every state but the last: each change is a new version, and a run that has begun
goes on with the version it began with. A change that leaves a draft without what it needs to run is an edit,
and it stays a draft. Retired is the end; its name stays taken, its runs stay readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pygent_shared.errors import IllegalMove

State = Literal["draft", "configured", "deployed", "paused", "retired"]
"""`draft`: it lacks what it needs to run. `configured`: could run. `deployed`: takes runs. `paused`: takes no
new ones. `retired`: never again."""

Move = Literal["edit", "configure", "deploy", "pause", "retire"]

LEGAL: Mapping[State, Mapping[Move, State]] = {
    "draft": {"edit": "draft", "configure": "configured", "retire": "retired"},
    "configured": {"configure": "configured", "deploy": "deployed", "retire": "retired"},
    "deployed": {"configure": "deployed", "pause": "paused", "retire": "retired"},
    "paused": {"configure": "paused", "deploy": "deployed", "retire": "retired"},
    "retired": {},
}

RUNS: frozenset[State] = frozenset({"deployed"})
"""The states in which an agent takes a new run."""

_DONE: Mapping[Move, str] = {
    "edit": "edited",
    "configure": "configured",
    "deploy": "deployed",
    "pause": "paused",
    "retire": "retired",
}


def moved(agent: str, state: State, move: Move) -> State:
    """The state that a move leads to.

    Raises:
        IllegalMove: the state has no such move.
    """
    if (after := LEGAL[state].get(move)) is None:
        raise IllegalMove(f'Agent "{agent}"', state, _DONE[move], _cure(agent, state, move))
    return after


def _cure(agent: str, state: State, move: Move) -> str:
    if not LEGAL[state]:
        return f'Make a new one of another name: create_agent(name="{agent}-2")'
    if move in LEGAL[LEGAL[state].get("configure", state)]:
        return f'Configure it first: configure_agent(name="{agent}", instructions="…")'
    if move == "pause":
        return f'Deploy it first: deploy_agent(name="{agent}")'
    if move == "edit":
        return "Leave it what it needs to run: its instructions"
    return f"It can be {' or '.join(_DONE[other] for other in LEGAL[state])}"
