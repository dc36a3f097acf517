"""The full-text index over chunks, and over documents as wholes.

A question is looked up by its terms and by the parts of the names in it. The one rule: time is bounded
however long it is, for only its rarest terms are looked up, and the others would hardly move a ranking.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import apsw

from pygent_shared.database import Database
from pygent_shared.fulltext import MOST_TERMS, any_of, terms_and_parts

TITLE_WEIGHT = HEADING_WEIGHT = 1.2
"""Of a term in the title or heading, where one in the text weighs 1; above 1.5 some sets lose."""

MOST_LOOKED_UP = 32
"""Different terms, beyond which only the rarest count: a paragraph asks for more, a question never."""


class Words:
    """The words of all that is in a database of documents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def match(self, question: str) -> str:
        """An FTS5 expression for a question; "" when it has no words."""
        asked = terms_and_parts(question)[:MOST_TERMS]
        different = list(dict.fromkeys(asked))
        if len(different) > MOST_LOOKED_UP:
            counts = {term: self._count(term) for term in different}
            found = sorted((term for term in different if counts[term]), key=lambda term: counts[term])
            kept = set(found[:MOST_LOOKED_UP])
            asked = [term for term in asked if term in kept]
        return any_of(asked)

    def chunks(
        self, match: str, groups: Sequence[int], limit: int, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """See `Store.lexical`."""
        if not match or not groups:
            return {}
        wanted = "" if among is None else "AND c.id IN (SELECT value FROM json_each(?)) "
        rows = self._database.query(
            f"SELECT c.id, -bm25(chunk_fts, 1.0, {TITLE_WEIGHT}, {HEADING_WEIGHT}, 1.0) AS score "
            "FROM chunk_fts JOIN chunk AS c ON c.id = chunk_fts.rowid "
            f"WHERE chunk_fts MATCH ? AND c.collection IN ({marks(groups)}) {wanted}"
            "ORDER BY score DESC, c.id LIMIT ?",
            (match, *groups, *([] if among is None else [json.dumps(list(among))]), limit),
        )
        return {int(str(id)): float(str(score)) for id, score in rows}

    def documents(self, match: str, groups: Sequence[int], limit: int) -> dict[int, float]:
        """See `Store.wholes`."""
        if not match or not groups:
            return {}
        rows = self._database.query(
            f"SELECT d.id, -bm25(document_fts, 1.0, {TITLE_WEIGHT}, 1.0) AS score "
            "FROM document_fts JOIN document AS d ON d.id = document_fts.rowid "
            f"WHERE document_fts MATCH ? AND d.collection IN ({marks(groups)}) "
            "ORDER BY score DESC, d.id LIMIT ?",
            (match, *groups, limit),
        )
        return {int(str(id)): float(str(score)) for id, score in rows}

    def _count(self, term: str) -> int:
        """How many chunks hold a term, by the rarest of the words that the index knows it as; 0 for none."""
        stems = self._stems(term)
        rows = self._database.query(
            f"SELECT min(doc), count(*) FROM chunk_terms WHERE term IN ({marks(stems)})", tuple(stems)
        )
        ((least, known),) = rows
        return int(str(least)) if stems and known == len(set(stems)) else 0

    def _stems(self, term: str) -> list[str]:
        """What the index's tokenizer makes of a term."""
        tokenizer = self._database.read().fts5_tokenizer("porter", ["unicode61"])
        found = tokenizer(
            term.encode(), apsw.FTS5_TOKENIZE_QUERY, None, include_offsets=False, include_colocated=False
        )
        return [str(stem) for stem in found]


def marks(values: Sequence[object]) -> str:
    """Placeholders for so many values."""
    return ",".join("?" * len(values))
