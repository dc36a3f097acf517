"""Whether the memories in a database are as they must be, in sentences, and making anew what is derived.

The one rule: a repair touches only what is made from the texts (the full-text index, passages, vectors,
SQLite's own indexes). A damaged text or row is named, and comes back from a backup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

import apsw

from pygent_memory.memory import utc
from pygent_memory.writing import Writer
from pygent_shared.database import Database

Part = Literal["file", "rows", "indexes", "words", "passages", "vectors"]
DERIVED: tuple[Part, ...] = ("indexes", "words", "passages", "vectors")
"""What can be made anew, in the order in which it is."""

SHOWN = 5
BATCH = 200


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong: with what, and a sentence."""

    part: Part
    sentence: str


_INDEX = ("missing from index", "wrong # of entries in index", "non-unique entry in index")

_PASSAGES = {
    "have no passages, so that no search finds them": """
        m.forgotten_at IS NULL AND NOT EXISTS (SELECT 1 FROM passage WHERE memory = m.key)""",
    "are forgotten but still searched": """
        m.forgotten_at IS NOT NULL AND EXISTS (SELECT 1 FROM passage WHERE memory = m.key)""",
    "were replaced but are found as if they held": """
        m.replaced_at IS NOT NULL AND EXISTS (SELECT 1 FROM passage WHERE memory = m.key AND past = 0)""",
    "have passages in another space": """
        EXISTS (SELECT 1 FROM passage WHERE memory = m.key AND space <> m.space)""",
    # SQLite's text functions end at a NUL, so texts that hold one are not compared.
    "have passages that are not in their text": """
        instr(m.text, char(0)) = 0 AND EXISTS (SELECT 1 FROM passage AS p WHERE p.memory = m.key AND (
            p.start < 0 OR p.stop > length(m.text) OR p.stop <= p.start
            OR instr(p.text, substr(m.text, p.start + 1, p.stop - p.start)) = 0))""",
}
"""What can be wrong with the passages of the memories `m`."""

_ROWS = {
    "are in a conversation of another space": """
        m.space <> (SELECT space FROM conversation WHERE id = m.conversation)""",
    "are about an entity of another space": """
        m.space <> (SELECT space FROM entity WHERE id = m.entity)""",
    "were replaced by a memory of another space": """
        m.space <> (SELECT space FROM memory WHERE key = m.replaced_by)""",
    "were replaced by themselves, in a circle": """
        m.replaced_by IS NOT NULL AND m.key IN (
            WITH RECURSIVE later(key) AS (SELECT m.replaced_by UNION
                SELECT o.replaced_by FROM memory AS o JOIN later ON o.key = later.key
                WHERE o.replaced_by IS NOT NULL) SELECT key FROM later)""",
    "have no text": "m.text = ''",
}
"""What can be wrong with the rows of the memories `m`."""

_USUAL = """
    WITH usual AS MATERIALIZED (SELECT model, size, max(many) FROM (
        SELECT model, length(vector) AS size, count(*) AS many FROM passage_vector GROUP BY 1, 2
    ) GROUP BY model)
"""
_VECTORS = """
    FROM passage_vector AS v WHERE length(vector) <> (SELECT size FROM usual WHERE model = v.model)
    OR NOT EXISTS (SELECT 1 FROM passage WHERE id = v.item)
"""
_NO_WRONG_VECTORS = (
    f"{_USUAL} DELETE FROM passage_vector WHERE (item, model) IN (SELECT item, model {_VECTORS})"
)


def verify(database: Database) -> list[Finding]:
    """All that is wrong. It reads the whole file, and keeps other writers waiting while it compares the
    full-text index.

    Raises:
        DatabaseUnusable: so much is damaged that it cannot be read.
    """
    found = list(_in_file(database))
    if any(finding.part == "file" for finding in found):
        return found
    found += _in_keys(database)
    found += _in_words(database)
    found += _in_memories(database, "passages", _PASSAGES)
    found += _in_memories(database, "rows", _ROWS)
    ((wrong,),) = database.query(f"{_USUAL} SELECT count(*) {_VECTORS}")
    if wrong:
        found.append(Finding(part="vectors", sentence=f"Vectors that fit no passage or no other: {wrong}."))
    return found


def repair(database: Database, findings: Sequence[Finding], now: datetime | None = None) -> list[Finding]:
    """Make what is derived anew where something is wrong with it. Returns what is wrong afterwards.

    Raises:
        DatabaseUnusable: as `verify`.
    """
    parts = {finding.part for finding in findings}
    if "file" in parts:
        return list(findings)
    work: dict[Part, Callable[[], None]] = {
        "indexes": lambda: _run(database, "REINDEX"),
        "words": lambda: _run(database, "INSERT INTO passage_words(passage_words) VALUES ('rebuild')"),
        "passages": lambda: _again(database, utc(now or datetime.now(UTC))),
        "vectors": lambda: _run(database, _NO_WRONG_VECTORS),
    }
    for part in DERIVED:
        if part in parts:
            work[part]()
    return verify(database)


def _in_file(database: Database) -> Iterator[Finding]:
    for problem in database.check():
        index = any(words in problem for words in _INDEX)
        if "malformed inverted index" in problem:
            continue  # told in words of ours by `_in_words`
        yield Finding(part="indexes" if index else "file", sentence=f"SQLite finds: {problem}.")


def _in_keys(database: Database) -> Iterator[Finding]:
    """Rows that belong to others that are not there."""
    for table, count in database.query(
        'SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1 ORDER BY 1'
    ):
        part: Part = {"passage": "passages", "passage_vector": "vectors"}.get(str(table), "rows")  # type: ignore[assignment]
        yield Finding(part=part, sentence=f'Rows of "{table}" that belong to nothing that is there: {count}.')


def _in_words(database: Database) -> Iterator[Finding]:
    with database.write() as connection:
        try:
            connection.execute("INSERT INTO passage_words(passage_words, rank) VALUES ('integrity-check', 1)")
        except apsw.CorruptError:
            yield Finding(part="words", sentence="The full-text index does not match the passages.")


def _in_memories(database: Database, part: Part, rules: dict[str, str]) -> Iterator[Finding]:
    for what, condition in rules.items():
        if ids := _ids(database, condition, SHOWN + 1):
            shown = ", ".join(ids[:SHOWN]) + (" and more" if len(ids) > SHOWN else "")
            yield Finding(part=part, sentence=f"Memories that {what}: {shown}.")


def _ids(database: Database, condition: str, limit: int) -> list[str]:
    rows = database.query(f"SELECT m.id FROM memory AS m WHERE {condition} ORDER BY m.key LIMIT ?", (limit,))
    return [str(id) for (id,) in rows]


def _run(database: Database, sql: str) -> None:
    with database.write() as connection:
        connection.execute(sql).fetchall()


def _again(database: Database, now: str) -> None:
    """Make the passages anew of the memories with wrong ones, and delete those of no memory."""
    _run(database, "DELETE FROM passage WHERE memory NOT IN (SELECT key FROM memory)")
    wrong = " OR ".join(f"({condition})" for condition in _PASSAGES.values())
    rows = database.query(
        f"SELECT s.name, m.id FROM memory AS m JOIN space AS s ON s.id = m.space WHERE {wrong} ORDER BY m.key"
    )
    for start in range(0, len(rows), BATCH):
        with database.write() as connection:
            for space, id in cast("list[tuple[str, str]]", rows[start : start + BATCH]):
                Writer(connection, space, now).index_again(id)
