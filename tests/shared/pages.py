"""Pages of books in a database, with vectors: what indexes are tried on."""

from __future__ import annotations

import numpy as np

from pygent_shared.database import Database
from pygent_shared.vectors import changes
from pygent_shared.vectors.sqlite_vec import Items, SqliteVectors

ITEMS = Items(table="page", group="book")
TABLE = "CREATE TABLE page (id INTEGER PRIMARY KEY AUTOINCREMENT, book INTEGER, text TEXT);"
MIGRATIONS = [TABLE + ITEMS.schema, changes.schema(ITEMS)]
DIMENSIONS = 384


def some(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors in 200 clusters, as texts on 200 subjects would give."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((200, DIMENSIONS))
    found = centres[random.integers(0, 200, count)] + random.standard_normal((count, DIMENSIONS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype("<f4")


def fill(database: Database, vectors: np.ndarray, book: int = 1) -> list[int]:
    """Pages with these vectors, written by a store without a mirror, as another process would."""
    with database.write() as connection:
        items = []
        for _ in vectors:
            connection.execute("INSERT INTO page (book, text) VALUES (?, 'text')", (book,))
            items.append(connection.last_insert_rowid())
    SqliteVectors(database, ITEMS).put(
        "m", [(item, vector.tobytes()) for item, vector in zip(items, vectors, strict=True)]
    )
    return items
