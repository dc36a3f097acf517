"""The tables of the memory database, as migrations.

Passages exist only for memories that are not forgotten: whatever searches them cannot find a forgotten one.
One that was replaced, or has ended, keeps its passages, on the shelf of the past (`memory.past`).

A passage's id is never used twice (AUTOINCREMENT): a vector that was being computed for a forgotten passage
must not land on a new one. The full-text index reads the passages' own table and keeps no second copy;
secure-delete leaves no trace of a deleted word in it.
"""

from __future__ import annotations

from pygent_memory.consolidation.schema import TABLES as CONSOLIDATION
from pygent_shared.vectors import mirror
from pygent_shared.vectors.sqlite_vec import Items

TOKENIZER = "porter unicode61 remove_diacritics 2"
"""What splits a passage into the words that the full-text index has, as FTS5 names it."""

KEPT_CHANGES = 50_000
"""Changes of passages that their log keeps. A word index that missed more is built anew."""

PASSAGES = Items(table="passage", group="shelf")
"""What is searched. A space has two shelves: of what holds now, and of what was replaced or has ended, which
only a search of the past looks at. Else the many old versions of a fact would hide the one that holds."""

_FIRST = """
CREATE TABLE space (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
);
CREATE TABLE memory (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    space INTEGER NOT NULL REFERENCES space(id),
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    speaker TEXT NOT NULL,
    occurred_at TEXT,
    recorded_at TEXT NOT NULL,
    date TEXT NOT NULL GENERATED ALWAYS AS (ifnull(occurred_at, recorded_at)) VIRTUAL,
    importance REAL NOT NULL CHECK (importance BETWEEN 0 AND 1),
    seen INTEGER NOT NULL DEFAULT 1,
    forgotten_at TEXT
);
CREATE UNIQUE INDEX memory_once ON memory(space, fingerprint) WHERE forgotten_at IS NULL;
CREATE TABLE memory_tag (
    memory INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (memory, tag)
);
CREATE TABLE passage (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    memory INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    space INTEGER NOT NULL REFERENCES space(id),
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX passage_of_memory ON passage(memory);
CREATE INDEX passage_of_space ON passage(space);
CREATE VIRTUAL TABLE passage_words USING fts5(
    text, content='passage', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
);
INSERT INTO passage_words(passage_words, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER passage_comes AFTER INSERT ON passage BEGIN
    INSERT INTO passage_words(rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER passage_goes AFTER DELETE ON passage BEGIN
    INSERT INTO passage_words(passage_words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    space INTEGER NOT NULL REFERENCES space(id),
    memory TEXT NOT NULL,
    what TEXT NOT NULL
);
"""

# `words` is what full-text search reads where a script writes no blanks between words; else it reads `text`.
# `context` holds what neighbouring turns of the conversation say.
_SECOND_INDEX = """
DROP TRIGGER passage_comes;
DROP TRIGGER passage_goes;
DROP TABLE passage_words;
ALTER TABLE passage ADD COLUMN words TEXT;
ALTER TABLE passage ADD COLUMN past INTEGER NOT NULL DEFAULT 0;
ALTER TABLE passage ADD COLUMN shelf INTEGER GENERATED ALWAYS AS (2 * space + past) VIRTUAL;
DROP INDEX passage_of_space;
CREATE INDEX passage_of_shelf ON passage(shelf);
CREATE TRIGGER passage_ages AFTER UPDATE OF past ON passage BEGIN
    INSERT INTO passage_vector_change (item, model)
        SELECT item, model FROM passage_vector WHERE item = new.id;
END;
ALTER TABLE passage ADD COLUMN context TEXT NOT NULL DEFAULT '';
CREATE VIEW passage_read AS SELECT id, ifnull(words, text) AS text, context FROM passage;
CREATE VIRTUAL TABLE passage_words USING fts5(
    text, context, content='passage_read', content_rowid='id',
    tokenize='porter unicode61 remove_diacritics 2'
);
INSERT INTO passage_words(passage_words, rank) VALUES ('secure-delete', 1);
INSERT INTO passage_words(passage_words) VALUES ('rebuild');
CREATE VIRTUAL TABLE passage_term USING fts5vocab(passage_words, row);
CREATE TRIGGER passage_comes AFTER INSERT ON passage BEGIN
    INSERT INTO passage_words(rowid, text, context)
        VALUES (new.id, ifnull(new.words, new.text), new.context);
END;
CREATE TRIGGER passage_goes AFTER DELETE ON passage BEGIN
    INSERT INTO passage_words(passage_words, rowid, text, context)
        VALUES ('delete', old.id, ifnull(old.words, old.text), old.context);
END;
CREATE TRIGGER passage_changes AFTER UPDATE OF words, text, context ON passage BEGIN
    INSERT INTO passage_words(passage_words, rowid, text, context)
        VALUES ('delete', old.id, ifnull(old.words, old.text), old.context);
    INSERT INTO passage_words(rowid, text, context)
        VALUES (new.id, ifnull(new.words, new.text), new.context);
END;
"""

# The owner "" is whoever uses this machine; a space of anybody else is named OWNER/NAME. `valid_from` and
# `valid_to` are when a thing is true in the world, `replaced_at` is when a newer memory took its place here.
# A forgotten observation that comes back brings its entity back, or joins the one that has its name by now.
_TIMES = """
ALTER TABLE space ADD COLUMN owner TEXT NOT NULL DEFAULT '';
CREATE TABLE space_grant (
    space INTEGER NOT NULL REFERENCES space(id) ON DELETE CASCADE,
    principal TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('read', 'write')),
    PRIMARY KEY (space, principal)
) WITHOUT ROWID;
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY,
    space INTEGER NOT NULL REFERENCES space(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    turns INTEGER NOT NULL DEFAULT 0,
    UNIQUE (space, name)
);
CREATE TABLE entity (
    id INTEGER PRIMARY KEY,
    space INTEGER NOT NULL REFERENCES space(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    forgotten_at TEXT
);
CREATE UNIQUE INDEX entity_once ON entity(space, name) WHERE forgotten_at IS NULL;
CREATE INDEX entity_of_space ON entity(space) WHERE forgotten_at IS NULL;
CREATE TABLE relation (
    id INTEGER PRIMARY KEY,
    space INTEGER NOT NULL REFERENCES space(id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    type TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    forgotten_at TEXT
);
CREATE UNIQUE INDEX relation_once ON relation(space, source, target, type) WHERE forgotten_at IS NULL;
CREATE INDEX relation_of_target ON relation(space, target) WHERE forgotten_at IS NULL;
CREATE INDEX relation_of_space ON relation(space) WHERE forgotten_at IS NULL;
ALTER TABLE memory ADD COLUMN conversation INTEGER REFERENCES conversation(id) ON DELETE CASCADE;
ALTER TABLE memory ADD COLUMN turn INTEGER;
ALTER TABLE memory ADD COLUMN entity INTEGER REFERENCES entity(id) ON DELETE CASCADE;
ALTER TABLE memory ADD COLUMN valid_from TEXT;
ALTER TABLE memory ADD COLUMN valid_to TEXT;
ALTER TABLE memory ADD COLUMN expires_at TEXT;
ALTER TABLE memory ADD COLUMN replaced_at TEXT;
ALTER TABLE memory ADD COLUMN replaced_by INTEGER REFERENCES memory(key) ON DELETE SET NULL;
ALTER TABLE memory ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE memory ADD COLUMN trust TEXT NOT NULL DEFAULT 'agent';
ALTER TABLE memory ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE memory ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE memory ADD COLUMN past INTEGER NOT NULL DEFAULT 0;
DROP INDEX memory_once;
CREATE UNIQUE INDEX memory_once ON memory(space, fingerprint)
    WHERE forgotten_at IS NULL AND replaced_at IS NULL;
CREATE INDEX memory_of_space ON memory(space, key);
CREATE INDEX memory_of_conversation ON memory(conversation, turn) WHERE conversation IS NOT NULL;
CREATE INDEX memory_of_entity ON memory(entity) WHERE entity IS NOT NULL;
CREATE INDEX memory_replaced_by ON memory(replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX memory_expires ON memory(expires_at) WHERE expires_at IS NOT NULL AND forgotten_at IS NULL;
CREATE INDEX memory_ends ON memory(valid_to)
    WHERE valid_to IS NOT NULL AND forgotten_at IS NULL AND past = 0;
CREATE INDEX memory_expired ON memory(forgotten_at)
    WHERE forgotten_at IS NOT NULL AND expires_at <= forgotten_at;
CREATE TABLE derived_from (
    memory INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    source INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    PRIMARY KEY (memory, source)
) WITHOUT ROWID;
CREATE INDEX derived_of_source ON derived_from(source);
ALTER TABLE event ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN before TEXT;
CREATE INDEX event_of_memory ON event(memory);
CREATE TRIGGER observation_returns AFTER UPDATE OF forgotten_at ON memory
WHEN new.forgotten_at IS NULL AND old.forgotten_at IS NOT NULL AND new.entity IS NOT NULL BEGIN
    UPDATE entity SET forgotten_at = NULL WHERE id = new.entity AND forgotten_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM entity AS e WHERE e.space = entity.space AND e.name = entity.name
                        AND e.forgotten_at IS NULL);
    UPDATE memory SET entity = (
        SELECT l.id FROM entity AS o JOIN entity AS l
        ON l.space = o.space AND l.name = o.name AND l.forgotten_at IS NULL WHERE o.id = new.entity
    ) WHERE key = new.key;
END;
"""

# Which passages changed or went; new ones are told by their numbers, which only grow. How many passages have
# a term is asked no more.
_PASSAGE_LOG = f"""
DROP TABLE passage_term;
CREATE TABLE passage_change (number INTEGER PRIMARY KEY, passage INTEGER NOT NULL) STRICT;
CREATE TRIGGER passage_change_goes AFTER DELETE ON passage BEGIN
    INSERT INTO passage_change (passage) VALUES (old.id);
END;
CREATE TRIGGER passage_change_comes AFTER UPDATE OF words, text, context, past ON passage BEGIN
    INSERT INTO passage_change (passage) VALUES (new.id);
END;
CREATE TRIGGER passage_change_cut AFTER INSERT ON passage_change WHEN new.number % 1000 = 0 BEGIN
    DELETE FROM passage_change WHERE number <= new.number - {KEPT_CHANGES};
END;
"""

MIGRATIONS = (
    _FIRST + PASSAGES.schema,
    mirror.schema(PASSAGES),
    _SECOND_INDEX + _TIMES + CONSOLIDATION,
    _PASSAGE_LOG,
)


def shelf(space: int, *, past: bool = False) -> int:
    """The number of a space's shelf, as the column `passage.shelf` has it."""
    return 2 * space + past
