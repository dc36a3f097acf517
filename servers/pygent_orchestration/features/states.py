"""The states of a feature, and the moves between them: what is not in the table there is not.

PLANNING ⇄ (the plan is asked for again)
   │
IMPLEMENTATION ◂──┐  what a person wants changed is one more task
   │              │
REVIEW ───────────┘
   │
DEPLOYMENT
   │
COMPLETED              any but this one → FAILED
"""

from __future__ import annotations

from collections.abc import Mapping

from pygent_orchestration.features.model import FeatureState, TaskState

MOVES: Mapping[FeatureState, frozenset[FeatureState]] = {
    "PLANNING": frozenset({"IMPLEMENTATION", "FAILED"}),
    "IMPLEMENTATION": frozenset({"REVIEW", "FAILED"}),
    "REVIEW": frozenset({"DEPLOYMENT", "IMPLEMENTATION", "FAILED"}),
    "DEPLOYMENT": frozenset({"COMPLETED", "FAILED"}),
    "COMPLETED": frozenset(),
    "FAILED": frozenset(),
}

OVER = tuple(state for state, to in MOVES.items() if not to)
"""Nothing comes after these."""

TASK_MOVES: Mapping[TaskState, frozenset[TaskState]] = {
    "waiting": frozenset({"running", "skipped"}),
    "running": frozenset({"merged", "failed", "cancelled"}),
    "merged": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "skipped": frozenset(),
}
