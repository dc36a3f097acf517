"""What there is: how much in which space, which vectors, how large the file, how old the last backup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pygent_memory.rows import Row
from pygent_memory.schema import shelf
from pygent_shared.backups import Backup, backups_of
from pygent_shared.database import Database, unusable

_SPACES = """
    SELECT s.id, s.name, s.owner,
        (SELECT count(*) FROM memory WHERE space = s.id AND forgotten_at IS NULL AND replaced_at IS NULL),
        (SELECT count(*) FROM memory WHERE space = s.id AND forgotten_at IS NULL AND replaced_at IS NOT NULL),
        (SELECT count(*) FROM memory WHERE space = s.id AND forgotten_at IS NOT NULL),
        (SELECT count(*) FROM conversation WHERE space = s.id),
        (SELECT count(*) FROM entity WHERE space = s.id AND forgotten_at IS NULL),
        (SELECT count(*) FROM relation WHERE space = s.id AND forgotten_at IS NULL),
        (SELECT max(at) FROM event WHERE space = s.id)
    FROM space AS s ORDER BY s.name
"""


@dataclass(frozen=True, kw_only=True)
class SpaceStatus:
    """How much a space holds; `passages` are those searched for what holds now."""

    name: str
    owner: str
    memories: int
    replaced: int
    forgotten: int
    conversations: int
    entities: int
    relations: int
    passages: int
    changed_at: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """What there is; `vectors` counts them by model, `size` is the file's and its log's in bytes."""

    path: Path
    size: int
    version: int
    spaces: tuple[SpaceStatus, ...]
    passages: int
    vectors: dict[str, int]
    backups: tuple[Backup, ...]

    @property
    def last_backup(self) -> datetime | None:
        return self.backups[0].at if self.backups else None

    def pending(self, model: str) -> int:
        """How many passages have no vector of a model."""
        return self.passages - self.vectors.get(model, 0)


def spaces(database: Database) -> tuple[SpaceStatus, ...]:
    """What each space holds."""
    passages = dict(cast("list[tuple[int, int]]", database.query(_PASSAGES)))
    return tuple(_space(row, passages) for row in database.query(_SPACES))


def _space(row: Row, passages: dict[int, int]) -> SpaceStatus:
    id, name, owner, *counts, changed_at = cast(tuple[Any, ...], row)
    memories, replaced, forgotten, conversations, entities, relations = counts
    return SpaceStatus(
        name=name,
        owner=owner,
        memories=memories,
        replaced=replaced,
        forgotten=forgotten,
        conversations=conversations,
        entities=entities,
        relations=relations,
        passages=passages.get(shelf(id), 0),
        changed_at=changed_at or "",
    )


_PASSAGES = "SELECT shelf, count(*) FROM passage GROUP BY shelf"


def status(database: Database) -> Status:
    """What there is in a database.

    Raises:
        DatabaseUnusable: it, or the folder of its backups, cannot be read.
    """
    ((version,),) = database.query("PRAGMA user_version")
    ((passages,),) = database.query("SELECT count(*) FROM passage")
    vectors = database.query("SELECT model, count(*) FROM passage_vector GROUP BY model ORDER BY model")
    log = database.path.with_name(database.path.name + "-wal")
    try:
        size = sum(file.stat().st_size for file in (database.path, log) if file.exists())
        backups = tuple(backups_of(database.path))
    except OSError as error:
        raise unusable(database.path, error) from error
    return Status(
        path=database.path,
        size=size,
        version=cast(int, version),
        spaces=spaces(database),
        passages=cast(int, passages),
        vectors=dict(cast("list[tuple[str, int]]", vectors)),
        backups=backups,
    )
