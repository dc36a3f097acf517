"""Where features are kept: their rows, those of their tasks, and the events that made them what they are.

The one rule: an event and what it changes are written in one transaction, and no event is ever changed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import apsw

from pygent_orchestration.features.events import Event, Kind, applied
from pygent_orchestration.features.model import Feature, Task
from pygent_orchestration.features.states import OVER
from pygent_orchestration.store import now
from pygent_shared.caller import caller
from pygent_shared.database_postgres import Rows
from pygent_shared.errors import UnknownName

Tell = Callable[[Feature, Event], None]


class FeatureStore:
    """Keeps them.

    Args:
        tell: is told of each event, once it is written, and the feature as it stands then; again, where it is
            written again, as a crash may have come between.
    """

    def __init__(self, database: Rows, tell: Tell = lambda feature, event: None) -> None:
        self._database = database
        self._tell = tell

    def append(
        self,
        id: str,
        key: str,
        kind: Kind,
        data: dict[str, Any] | None = None,
        *,
        task: str = "",
        actor: str = "",
    ) -> Feature:
        """Have something happen to a feature; nothing, where an event of this key has happened to it. Returns
        the feature as it stands then.

        Args:
            actor: who did it; empty: the caller.

        Raises:
            IllegalMove: it cannot happen to it as it stands.
        """
        event = Event(at=now(), key=key, kind=kind, task=task, actor=actor or caller(), data=data or {})
        with self._database.write() as connection:
            before = _found(connection, id)
            if connection.execute(_HAPPENED, (id, key)).fetchall():
                assert before is not None
                after = before
            else:
                after = applied(id, before, event)
                _put(connection, before, after)
                row = (id, key, event.at, kind, task, event.actor, json.dumps(event.data))
                connection.execute(_HAPPENS, row)
        self._tell(after, event)
        return after

    def get(self, id: str) -> Feature:
        """A feature.

        Raises:
            UnknownName: there is none of this id.
        """
        with self._database.snapshot() as connection:
            feature = _found(connection, id)
        if feature is None:
            raise UnknownName("feature", id, self.ids(50), "See them: list_features().")
        return feature

    def all(self, repository: str, limit: int) -> list[Feature]:
        """The newest features, of one repository or of all."""
        found = self._database.query(
            "SELECT id FROM feature WHERE ?1 = '' OR repository = ?1 ORDER BY rowid DESC LIMIT ?2",
            (repository, limit),
        )
        return [self.get(str(id)) for (id,) in found]

    def ids(self, limit: int) -> list[str]:
        """The ids of the newest."""
        rows = self._database.query("SELECT id FROM feature ORDER BY rowid DESC LIMIT ?", (limit,))
        return [str(id) for (id,) in rows]

    def events(self, id: str) -> list[Event]:
        """All that happened to a feature, oldest first. Raises UnknownName: there is none."""
        rows = self._database.query(
            "SELECT at, key, kind, task, actor, data FROM feature_event WHERE feature = ? ORDER BY id", (id,)
        )
        if not rows:
            self.get(id)
        names = ("at", "key", "kind", "task", "actor")
        return [
            Event.model_validate({**dict(zip(names, row, strict=False)), "data": json.loads(str(row[-1]))})
            for row in rows
        ]

    def in_hand(self) -> Mapping[str, int]:
        """How many tasks each agent is at, of all features."""
        rows = cast("Sequence[tuple[str, str]]", self._database.query(_IN_HAND))
        return Counter(
            Task.model_validate_json(task).coder or json.loads(feature)["request"]["coder"]
            for task, feature in rows
        )

    def is_awaited(self) -> bool:
        """Whether there is one that is not over."""
        return bool(self._database.query(f"SELECT 1 FROM feature WHERE state NOT IN {OVER} LIMIT 1"))


_IN_HAND = (
    "SELECT task.data, feature.data FROM feature_task AS task JOIN feature ON feature.id = task.feature "
    "WHERE task.state = 'running'"
)
_HAPPENED = "SELECT 1 FROM feature_event WHERE feature = ? AND key = ?"
_HAPPENS = (
    "INSERT INTO feature_event (feature, key, at, kind, task, actor, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_PUT = (
    "INSERT INTO feature (id, state, repository, data) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, data = excluded.data"
)
_TASK = (
    "INSERT INTO feature_task (feature, id, place, state, data) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (feature, id) DO UPDATE SET place = excluded.place, state = excluded.state, "
    "data = excluded.data"
)


def _found(connection: apsw.Connection, id: str) -> Feature | None:
    rows = connection.execute("SELECT data FROM feature WHERE id = ?", (id,)).fetchall()
    if not rows:
        return None
    tasks = cast(
        "Sequence[tuple[str, str]]",
        connection.execute(
            "SELECT id, data FROM feature_task WHERE feature = ? ORDER BY place", (id,)
        ).fetchall(),
    )
    feature = Feature.model_validate_json(str(rows[0][0]))
    return feature.model_copy(
        update={"tasks": {name: Task.model_validate_json(data) for name, data in tasks}}
    )


def _put(connection: apsw.Connection, before: Feature | None, after: Feature) -> None:
    data = after.model_dump_json(exclude={"tasks"})
    connection.execute(_PUT, (after.id, after.state, after.request.repository, data))
    old = before.tasks if before else {}
    for name in old.keys() - after.tasks.keys():  # of a plan that another takes the place of
        connection.execute("DELETE FROM feature_task WHERE feature = ? AND id = ?", (after.id, name))
    for place, (name, task) in enumerate(after.tasks.items()):
        if old.get(name) != task or list(old)[place : place + 1] != [name]:
            row = (after.id, name, place, task.state, task.model_dump_json())
            connection.execute(_TASK, row)
