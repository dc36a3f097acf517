"""The copy of one model's vectors in PostgreSQL: a table, pgvector's graph over it, and the SQL that asks it.

Candidates come from the graph over half floats, and are ranked by the whole ones.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using HNSW graphs",
IEEE TPAMI 2020; github.com/pgvector/pgvector, "Half-Precision Indexing" and "Iterative Index Scans" (0.8).
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pygent_shared.embeddings import Vector
from pygent_shared.vectors.changes import Row
from pygent_shared.vectors.sqlite_vec import SAMPLE

TIES = 20
"""How many more are asked for than wanted, so that of equals the lower number is among them."""
MOST_SEARCHED = 1_000
"""Of pgvector: the largest hnsw.ef_search."""
MOST_INDEXED = 4_000
"""Of pgvector: the most dimensions of half floats that a graph can be over; more are compared one by one."""


@dataclass
class Copy:
    """The copy with this number; `latest` is the last change that is known to be in it."""

    id: int
    dimensions: int
    latest: int

    @property
    def table(self) -> sql.Identifier:
        return sql.Identifier(f"pygent_vectors_{self.id}")

    def make(self, connection: psycopg.Connection, batches: Iterable[Sequence[Row]]) -> None:
        """Make the table with these rows; the graph comes after them, which is much faster."""
        shape = "(item bigint PRIMARY KEY, grp bigint NOT NULL, vec vector({}) NOT NULL)"
        connection.execute(sql.SQL(f"CREATE TABLE {{}} {shape}").format(self.table, self.dimensions))
        for rows in batches:
            self.add(connection, rows)
        connection.execute(sql.SQL("CREATE INDEX ON {} (grp, item)").format(self.table))
        if self.dimensions <= MOST_INDEXED:
            graph = "CREATE INDEX ON {} USING hnsw ((vec::halfvec({})) halfvec_cosine_ops)"
            connection.execute(sql.SQL(graph).format(self.table, self.dimensions))
        connection.execute(sql.SQL("ANALYZE {}").format(self.table))

    def drop(self, connection: psycopg.Connection) -> None:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))

    def remove(self, connection: psycopg.Connection, items: Sequence[int]) -> None:
        """Take out the vectors of these items, where there are any."""
        statement = sql.SQL("DELETE FROM {} WHERE item = ANY(%s)").format(self.table)
        connection.execute(statement, (list(items),))

    def add(self, connection: psycopg.Connection, rows: Iterable[Row]) -> None:
        """Add rows, in PostgreSQL's binary form: text would take ten times as long."""
        command = sql.SQL("COPY {} (item, grp, vec) FROM STDIN (FORMAT BINARY)").format(self.table)
        with connection.cursor().copy(command) as stream:
            stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for item, group, vector in rows:
                packed = _floats(vector)
                if sys.byteorder == "little":
                    packed.byteswap()
                body = struct.pack("!hh", len(packed), 0) + packed.tobytes()
                stream.write(struct.pack("!hiqiqi", 3, 8, item, 8, group, len(body)) + body)
            stream.write(b"\xff\xff")

    def nearest(
        self,
        connection: psycopg.Connection,
        query: Vector,
        groups: Sequence[int],
        limit: int,
        among: Collection[int] | None,
    ) -> dict[int, float]:
        """As of `VectorStore`; `limit` -1 and `among` are exact."""
        asked = {
            "query": _written(query),
            "groups": list(groups),
            "among": None if among is None else list(among),
            "limit": None if limit < 0 else limit,
            "most": 2 * limit + TIES,
        }
        if limit < 0 or among is not None or self.dimensions > MOST_INDEXED:
            near = "SELECT item, vec FROM {table} WHERE grp = ANY(%(groups)s)"
            near += " AND item = ANY(%(among)s)" if among is not None else ""
        else:
            near = (
                "SELECT item, vec FROM {table} WHERE grp = ANY(%(groups)s) "
                "ORDER BY vec::halfvec({dimensions}) <=> %(query)s::vector::halfvec({dimensions}) "
                "LIMIT %(most)s"
            )
        statement = sql.SQL(
            f"WITH near AS MATERIALIZED ({near}) SELECT item, 1 - (vec <=> %(query)s::vector) AS cosine "
            "FROM near ORDER BY cosine DESC, item LIMIT %(limit)s"
        ).format(table=self.table, dimensions=self.dimensions)
        # Cast to vector first: the type of a parameter is that of its first use.
        with connection.transaction():
            searched = max(40, min(MOST_SEARCHED, 2 * limit + TIES))
            connection.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(searched))
            connection.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
            return {item: float(cosine) for item, cosine in connection.execute(statement, asked)}

    def spread(self, connection: psycopg.Connection, query: Vector, groups: Sequence[int]) -> float:
        """The standard deviation of the cosines of about SAMPLE items: those that follow on numbers spread
        evenly over those of the groups."""
        statement = sql.SQL(
            "WITH ends AS (SELECT grp, min(item) AS first, max(item) AS last FROM {table} "
            "WHERE grp = ANY(%(groups)s) GROUP BY grp), "
            "step AS (SELECT greatest(1, (sum(last - first + 1) / %(sample)s)::bigint) AS step FROM ends), "
            "sampled AS (SELECT DISTINCT following.item FROM ends, step, "
            "LATERAL generate_series(first, last, step) AS number, "
            "LATERAL (SELECT item FROM {table} AS t WHERE t.grp = ends.grp AND t.item >= number "
            "ORDER BY t.item LIMIT 1) AS following) "
            "SELECT coalesce(stddev_pop(vec <=> %(query)s::vector), 0) FROM {table} JOIN sampled USING (item)"
        ).format(table=self.table)
        found = connection.execute(
            statement, {"groups": list(groups), "sample": SAMPLE, "query": _written(query)}
        ).fetchone()
        return float(found[0]) if found else 0.0


def _floats(vector: Vector) -> array[float]:
    floats = array("f")
    floats.frombytes(vector)
    return floats


def _written(vector: Vector) -> str:
    return str(_floats(vector).tolist())
