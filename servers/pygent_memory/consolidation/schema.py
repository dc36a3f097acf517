"""The tables of consolidation. They hold keys and verdicts, no text; all go with the memories they name."""

from __future__ import annotations

TABLES = """
CREATE TABLE consolidation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL REFERENCES space(id) ON DELETE CASCADE,
    at TEXT NOT NULL,
    judge TEXT NOT NULL,
    undone_at TEXT
);
CREATE TABLE consolidated (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES consolidation(id) ON DELETE CASCADE,
    memory INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    what TEXT NOT NULL CHECK (what IN ('added', 'repeated', 'replaced', 'kept')),
    other INTEGER REFERENCES memory(key) ON DELETE CASCADE,
    expires_at TEXT
);
CREATE INDEX consolidated_by ON consolidated(run);
CREATE INDEX consolidated_memory ON consolidated(memory);
CREATE INDEX consolidated_other ON consolidated(other) WHERE other IS NOT NULL;
CREATE TABLE memory_pair (
    newer INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    older INTEGER NOT NULL REFERENCES memory(key) ON DELETE CASCADE,
    space INTEGER NOT NULL REFERENCES space(id) ON DELETE CASCADE,
    likeness REAL NOT NULL,
    verdict TEXT,
    run INTEGER REFERENCES consolidation(id) ON DELETE SET NULL,
    PRIMARY KEY (newer, older)
) WITHOUT ROWID;
CREATE INDEX memory_pair_older ON memory_pair(older);
CREATE INDEX memory_pair_open ON memory_pair(space, newer) WHERE verdict IS NULL;
CREATE INDEX memory_pair_run ON memory_pair(run) WHERE run IS NOT NULL;
CREATE TABLE entity_pair (
    one INTEGER NOT NULL REFERENCES entity(id) ON DELETE CASCADE,
    other INTEGER NOT NULL REFERENCES entity(id) ON DELETE CASCADE,
    verdict TEXT NOT NULL,
    relation INTEGER REFERENCES relation(id) ON DELETE SET NULL,
    run INTEGER REFERENCES consolidation(id) ON DELETE SET NULL,
    PRIMARY KEY (one, other)
) WITHOUT ROWID;
CREATE INDEX entity_pair_other ON entity_pair(other);
CREATE TABLE compared (
    space INTEGER NOT NULL REFERENCES space(id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    upto INTEGER NOT NULL,
    PRIMARY KEY (space, model)
) WITHOUT ROWID;
ALTER TABLE memory ADD COLUMN read_by INTEGER;
CREATE INDEX memory_unread ON memory(space, conversation, turn)
    WHERE conversation IS NOT NULL AND read_by IS NULL AND forgotten_at IS NULL;
CREATE INDEX memory_told ON memory(space, key) WHERE conversation IS NULL;
CREATE INDEX memory_working ON memory(space, key) WHERE kind = 'working';
CREATE INDEX memory_pinned ON memory(space, key) WHERE pinned;
CREATE INDEX memory_read_by ON memory(read_by) WHERE read_by IS NOT NULL;
"""
"""`consolidation` is a run, `consolidated` what it did, one step a row: a memory it `added`; one it told
again (`repeated`), or a source (`other`) it newly named for that; one it had `replaced` by `other`;
one it `kept` longer than until `expires_at`. `memory_pair` holds pairs that were found alike, to be judged;
`compared` up to which memory they were looked for; `memory.read_by` the run that read a turn, or kept a
working memory."""
