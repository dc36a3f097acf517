"""The tables of the store, as migrations."""

from __future__ import annotations

from pygent_shared.fulltext import name_parts
from pygent_shared.vectors import mirror
from pygent_shared.vectors.sqlite_vec import Items

CHUNKS = Items(
    table="chunk",
    text="o.title || char(10) || o.heading || char(10) || o.text",
    group="collection",
    digest="digest",
    owner="collection",
)

# The index keeps no copy of the text. It needs detail = full (the default): without content and with less
# detail, bm25() is 0 for every row.
# AUTOINCREMENT: an id never comes back, so a vector computed for a deleted chunk cannot meet another one.
_FIRST = f"""
CREATE TABLE collection (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL REFERENCES collection(id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    title TEXT NOT NULL,
    unit TEXT NOT NULL CHECK (unit IN ('line', 'page')),
    verbatim INTEGER NOT NULL,
    text TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    recipe INTEGER NOT NULL,
    ingested TEXT NOT NULL,
    UNIQUE (collection, path)
) STRICT;

CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES document(id) ON DELETE CASCADE,
    collection INTEGER NOT NULL,
    char_start INTEGER NOT NULL,
    char_end INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    title TEXT NOT NULL,
    heading TEXT NOT NULL, -- one heading a line, outermost first; without the title
    text TEXT NOT NULL
) STRICT;
CREATE INDEX chunk_document ON chunk (document);
CREATE INDEX chunk_collection ON chunk (collection);

CREATE VIRTUAL TABLE chunk_fts USING fts5 (
    text, title, heading,
    tokenize = 'porter unicode61', content = '', contentless_delete = 1
);
CREATE TRIGGER chunk_comes AFTER INSERT ON chunk BEGIN
    INSERT INTO chunk_fts (rowid, text, title, heading) VALUES (new.id, new.text, new.title, new.heading);
END;
CREATE TRIGGER chunk_goes AFTER DELETE ON chunk BEGIN
    DELETE FROM chunk_fts WHERE rowid = old.id;
END;
{CHUNKS.schema}
"""

# `position` counts a document's chunks from 0, so that a chunk's neighbours are known. The bytes are those of
# the file that hold the text; NULL where the text was made from something else. `part` is the sheet. A unit
# may be any now; the column comes anew, because SQLite changes no CHECK.
_PLACES = """
ALTER TABLE document ADD COLUMN counted TEXT NOT NULL DEFAULT 'line';
UPDATE document SET counted = unit;
ALTER TABLE document DROP COLUMN unit;
ALTER TABLE document RENAME COLUMN counted TO unit;
ALTER TABLE chunk ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunk ADD COLUMN byte_start INTEGER;
ALTER TABLE chunk ADD COLUMN byte_end INTEGER;
ALTER TABLE chunk ADD COLUMN part TEXT NOT NULL DEFAULT '';
UPDATE chunk SET position = (
    SELECT count(*) FROM chunk AS o WHERE o.document = chunk.document AND o.id < chunk.id
);
"""

# `digest` tells chunks apart by what is embedded of them; NULL in those stored before there was one. `model`
# is the embedder whose vectors a collection has. A source is what was named to be read: a path or pattern.
_SYNC = """
ALTER TABLE chunk ADD COLUMN digest BLOB;
CREATE INDEX chunk_digest ON chunk (digest);
ALTER TABLE collection ADD COLUMN model TEXT;
UPDATE collection SET model = (
    SELECT v.model FROM chunk_vector AS v JOIN chunk AS c ON c.id = v.item
    WHERE c.collection = collection.id LIMIT 1
);
CREATE INDEX chunk_vector_model ON chunk_vector (model, item);
CREATE TABLE source (
    collection INTEGER NOT NULL REFERENCES collection(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (collection, name)
) STRICT, WITHOUT ROWID;
"""

# The words of whole documents: a chunk says little about what the document around it is about.
_WHOLES = """
CREATE VIRTUAL TABLE document_fts USING fts5 (
    text, title, tokenize = 'porter unicode61', content = '', contentless_delete = 1
);
CREATE TRIGGER document_comes AFTER INSERT ON document BEGIN
    INSERT INTO document_fts (rowid, text, title) VALUES (new.id, new.text, new.title);
END;
CREATE TRIGGER document_goes AFTER DELETE ON document BEGIN
    DELETE FROM document_fts WHERE rowid = old.id;
END;
CREATE TRIGGER document_changes AFTER UPDATE OF text, title ON document BEGIN
    DELETE FROM document_fts WHERE rowid = old.id;
    INSERT INTO document_fts (rowid, text, title) VALUES (new.id, new.text, new.title);
END;
INSERT INTO document_fts (rowid, text, title) SELECT id, text, title FROM document;
"""

# `names` holds the parts of the identifiers in a row, which the tokenizer keeps whole: see `name_parts`. The
# vocabulary tells how rare a term is; the index by position, what stands around a chunk.
_NAMES = """
DROP TRIGGER chunk_comes;
DROP TABLE chunk_fts;
CREATE VIRTUAL TABLE chunk_fts USING fts5 (
    text, title, heading, names,
    tokenize = 'porter unicode61', content = '', contentless_delete = 1
);
INSERT INTO chunk_fts (rowid, text, title, heading, names)
SELECT id, text, title, heading, name_parts(title || ' ' || heading || ' ' || text) FROM chunk;
CREATE TRIGGER chunk_comes AFTER INSERT ON chunk BEGIN
    INSERT INTO chunk_fts (rowid, text, title, heading, names) VALUES (
        new.id, new.text, new.title, new.heading,
        name_parts(new.title || ' ' || new.heading || ' ' || new.text)
    );
END;
CREATE VIRTUAL TABLE chunk_terms USING fts5vocab (chunk_fts, row);

DROP TRIGGER document_comes;
DROP TRIGGER document_changes;
DROP TABLE document_fts;
CREATE VIRTUAL TABLE document_fts USING fts5 (
    text, title, names, tokenize = 'porter unicode61', content = '', contentless_delete = 1
);
INSERT INTO document_fts (rowid, text, title, names)
SELECT id, text, title, name_parts(title || ' ' || text) FROM document;
CREATE TRIGGER document_comes AFTER INSERT ON document BEGIN
    INSERT INTO document_fts (rowid, text, title, names)
    VALUES (new.id, new.text, new.title, name_parts(new.title || ' ' || new.text));
END;
CREATE TRIGGER document_changes AFTER UPDATE OF text, title ON document BEGIN
    DELETE FROM document_fts WHERE rowid = old.id;
    INSERT INTO document_fts (rowid, text, title, names)
    VALUES (new.id, new.text, new.title, name_parts(new.title || ' ' || new.text));
END;

DROP INDEX chunk_document;
CREATE INDEX chunk_document ON chunk (document, position);
"""

FUNCTIONS = {"name_parts": name_parts}

MIGRATIONS = (_FIRST, _PLACES, mirror.schema(CHUNKS), _SYNC, _WHOLES, _NAMES)
