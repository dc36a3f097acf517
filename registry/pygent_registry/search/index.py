"""The vectors of tool definitions, kept in SQLite under a hash of what was embedded.

The one rule: a definition is embedded once in its life, in the background, and no answer waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.vectors.backlog import Backlog
from pygent_shared.vectors.sqlite_vec import Items, SqliteVectors

# Every text is a group of its own, so that a search can name the very texts it is about.
_TEXTS = Items(table="definition", group="id")
_SCHEMA = "CREATE TABLE definition (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, text TEXT NOT NULL);"


class DefinitionIndex:
    """Texts and their vectors in one file, which several processes may share.

    Raises:
        DatabaseUnusable: the file cannot be opened.
    """

    def __init__(self, path: Path, embedder: BackgroundEmbedder) -> None:
        self._embedder = embedder
        self._database = Database(path, [_SCHEMA + _TEXTS.schema])
        self._vectors = SqliteVectors(self._database, _TEXTS)
        self._backlog = Backlog(self._vectors, embedder)

    def keep(self, texts: Collection[str]) -> None:
        """Have these embedded, in the background, unless that was done."""
        known = self._numbers(texts)
        if missing := [text for text in texts if text not in known]:
            with self._database.write() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO definition (hash, text) VALUES (?, ?)",
                    [(_hash(text), text) for text in missing],
                )
        self._backlog.notify()

    def cosines(self, query: str, texts: Collection[str]) -> dict[str, float]:
        """The texts that have a vector, with their cosine to the query. Empty while there is no embedder.

        Slow by one embedding: never call it on the event loop.
        """
        if (embedder := self._embedder.ready()) is None or not texts:
            return {}
        numbers = self._numbers(texts)
        (vector,) = embedder.embed([query])
        near = self._vectors.nearest(embedder.model, vector, list(numbers.values()), len(numbers))
        return {text: near[number] for text, number in numbers.items() if number in near}

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` until everything kept has its vector; True when it has."""
        return self._backlog.wait(seconds)

    def close(self) -> None:
        self._backlog.close()
        self._database.close()

    def _numbers(self, texts: Collection[str]) -> dict[str, int]:
        by_hash = {_hash(text): text for text in texts}
        marks = ",".join("?" * len(by_hash))
        rows = self._database.query(
            f"SELECT hash, id FROM definition WHERE hash IN ({marks})", tuple(by_hash)
        )
        return {by_hash[str(found)]: int(str(number)) for found, number in rows}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
