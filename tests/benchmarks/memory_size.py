"""What size costs: writes and searches in ours and in mcp-memory-service, in one run, over stdio.

    python tests/benchmarks/memory_size.py [--sizes 0 1000 10000 100000] [--large 1000000] [--no-peer]

Both databases grow from size to size with the same texts: halves of real sentences of FOLDER (default
../shared/data) joined anew; questions are its titles. A size is filled past the servers, as nothing else gets
there in time: ours through its own store, the other's tables directly. Vectors are `vectors.blends`, real
ones and blends of two, put under the name of the model in force; they do not mean what the texts say, which
costs a search the same.

Both are asked two ways, and like is compared with like. "hashed" is the search alone: what stands for a model
makes up the vector of a question in no time (the other does so itself: its own model is a download). "model"
is the search with the question embedded by the same all-MiniLM-L6-v2 in both: ours by the ONNX export that a
server makes once 500 texts wait, or by numpy where it cannot, the other by sentence-transformers, lent to it
by this Python if it has it. Of the other's ways to search, "semantic" compares vectors and no words; ours
always does both, as its "hybrid" does. Writes are measured without a model in both. All are up while they are
searched, and asked some questions each in turn, so that a busy moment of the machine slows them alike.

Printed are the median and the least milliseconds of a write and of a search, the processor time a call takes
in the server (on a busy machine the steadier figure), and the memory in use. Targets: the median write at
100,000 within 2 x of one to an empty store, in turn with it, and a search there 30 x as fast as the other's
semantic one. `--large` is ours alone, and takes some minutes, most of them to fill it; 0 leaves it out. The
other is installed into a venv below ~/.cache/pygent, by a Python that can load extensions (--python).
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import apsw
import numpy as np
import sqlite_vec

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.stdio_client import Stdio
from tests.benchmarks.vectors import AT_ONCE, DATA, blends, embedded, texts

from pygent_memory import memories
from pygent_memory.finding import Finder
from pygent_memory.memory import draft
from pygent_memory.schema import MIGRATIONS, PASSAGES
from pygent_memory.store import MemoryStore
from pygent_shared.database import Database
from pygent_shared.embeddings import onnx
from pygent_shared.embeddings.background import PAYS, BackgroundEmbedder
from pygent_shared.embeddings.weights import located
from pygent_shared.serve import serve
from pygent_shared.settings import Settings
from pygent_shared.vectors.sqlite_vec import SqliteVectors

PEER = "mcp-memory-service"
WANTED = f"{PEER}>=12.2,<13"
HOME = Path.home() / ".cache" / "pygent" / PEER
NOW = "2026-05-01T12:00:00Z"
IDLE_S = 2.0
"""So long a server is left alone to see whether it computes by itself."""
BLOCK = 20
"""Calls of one server before it is the next one's turn."""

_INSERT = """
    INSERT INTO memories (
        content_hash, content, tags, memory_type, metadata,
        created_at, updated_at, created_at_iso, updated_at_iso
    ) VALUES (?, ?, 'b', 'note', '{}', 1.0, 1.0, ?, ?)
"""
_INSERT_VECTOR = "INSERT INTO memory_embeddings (rowid, content_embedding, store) VALUES (?, ?, 'default')"


@dataclass(frozen=True)
class Times:
    """Milliseconds of some calls: their median and least, and the server's processor time of one."""

    median: float
    least: float
    processor: float

    def __str__(self) -> str:
        return f"{self.median:>10.1f}{self.least:>10.1f}{self.processor:>10.1f}"


@dataclass
class Row:
    """What was measured at one size, and of writes to an empty store beside it; times in milliseconds."""

    size: int
    write: Times
    empty: Times
    search: dict[str, Times] = field(default_factory=dict)
    megabytes: float = 0.0


class Texts:
    """Texts without end, all different, and questions."""

    def __init__(self, data: Path) -> None:
        sentences, titles = texts(data)
        self._halves = [sentence.split() for sentence in sentences]
        self.questions = [title for title in titles if title.strip()]
        self._chance = random.Random(5)
        self._made = 0

    def some(self, count: int) -> list[str]:
        """The next texts."""
        return [self._one() for _ in range(count)]

    def _one(self) -> str:
        first, second = self._chance.choice(self._halves), self._chance.choice(self._halves)
        self._made += 1
        return " ".join([*first[: len(first) // 2], *second[len(second) // 2 :], f"n{self._made}"])


class Ours:
    """Our server over one folder, and its growth."""

    name = "ours"

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model = folder, model

    def grow(self, count: int, told: Texts, vectors: Iterator[np.ndarray]) -> None:
        with closing(Database(self.folder / "memory.db", MIGRATIONS)) as database:
            store = MemoryStore(database)
            stored = SqliteVectors(database, PASSAGES)
            ((last,),) = database.query("SELECT ifnull(max(id), 0) FROM passage")
            for start in range(0, count, AT_ONCE):
                some = told.some(min(AT_ONCE, count - start))
                store.add("default", [draft(text) for text in some], NOW)
                missing = stored.missing(self.model, 2 * AT_ONCE, int(str(last)))
                found = next(vectors)
                pairs = [(item, found[n % len(found)].tobytes()) for n, (item, _) in enumerate(missing)]
                stored.put(self.model, pairs)
                last = missing[-1][0]
            # What a server writes beside the vectors, and a search asks for.
            Finder(database).vectors.put(self.model, [])

    def over(self, folder: Path) -> Ours:
        """The same over an empty folder."""
        return Ours(folder, self.model)

    def start(self, *, search: str) -> Stdio:
        environ = {
            "PYGENT_DATA_DIR": str(self.folder),
            "PYGENT_EMBEDDER": "auto" if search == "model" else "none",
            "PYGENT_CONFIG": "",
        }
        hashed = [__file__, "--serve-hashed", self.model]
        return Stdio([sys.executable, *(hashed if search == "hashed" else ["-m", "pygent_memory"])], environ)

    def write(self, text: str) -> tuple[str, dict[str, Any]]:
        return "memory_add", {"text": text}

    def searches(self) -> dict[str, Callable[[str], tuple[str, dict[str, Any]]]]:
        return dict.fromkeys(("hashed", "model"), lambda question: ("memory_search", {"query": question}))

    def warm(self, client: Stdio, size: int, question: str) -> None:
        """Search until the model is loaded, and what is mirrored in memory is: until nothing is computed
        while nothing is asked."""
        until = time.monotonic() + 120 + size / 2_000
        while True:
            found = client.call("memory_search", {"query": question})["structuredContent"]
            before = client.processor_seconds
            time.sleep(IDLE_S)
            if found["retrieval"] == "hybrid" and client.processor_seconds - before < 0.02 * IDLE_S:
                assert found.get("pending", 0) == 0 or size == 0, found["why"]
                return
            assert time.monotonic() < until, found["why"]


class Hashed:
    """An embedder that makes up its vectors, in no time."""

    def __init__(self, model: str, dimensions: int = 384) -> None:
        self.model, self.dimensions = model, dimensions

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> bytes:
        made = np.frombuffer(hashlib.shake_128(text.encode()).digest(self.dimensions), np.int8).astype("<f4")
        return bytes((made / np.sqrt(made @ made)).tobytes())


def serve_hashed(model: str) -> None:
    """Our server, but for its embedder."""
    memories.shared_embedder = lambda settings: BackgroundEmbedder.loaded(Hashed(model))
    serve("pygent_memory.server:build_server", [])


class Other:
    """mcp-memory-service over one folder, and its growth."""

    name = PEER

    def __init__(self, folder: Path, python: str, model: str) -> None:
        self._folder, self._python, self._model = folder, python, model
        self._file = folder / "memory.db"
        client = self.start(search="")
        client.call(*self.write("The first makes the tables."))
        client.close()

    def grow(self, count: int, told: Texts, vectors: Iterator[np.ndarray]) -> None:
        connection = apsw.Connection(str(self._file))
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        for start in range(0, count, AT_ONCE):
            some = told.some(min(AT_ONCE, count - start))
            found = next(vectors)
            with connection:
                for number, text in enumerate(some):
                    digest = hashlib.sha256(text.encode()).hexdigest()
                    connection.execute(_INSERT, (digest, text, NOW, NOW))
                    vector = found[number % len(found)].tobytes()
                    connection.execute(_INSERT_VECTOR, (connection.last_insert_rowid(), vector))
        connection.close()

    def over(self, folder: Path) -> Other:
        """The same over an empty folder."""
        return Other(folder, self._python, self._model)

    def start(self, *, search: str) -> Stdio:
        environ = {
            "HOME": str(self._folder),
            "PYTHONPATH": "",
            "MCP_MEMORY_SQLITE_PATH": str(self._file),
            "MCP_MEMORY_STORAGE_BACKEND": "sqlite_vec",
            "MCP_MEMORY_USE_ONNX": "0",
            "MCP_MEMORY_ALLOW_HASH_EMBEDDINGS": "1",
            "MCP_EMBEDDING_MODEL": self._model if search == "model" else "none/none",
            "MCP_SEMANTIC_DEDUP_ENABLED": "false",
            "MCP_QUALITY_SYSTEM_ENABLED": "false",
            "HF_HUB_OFFLINE": "1",
        }
        if search == "model":
            return Stdio([self._python, "-c", _WITH_OURS.format(_site_packages())], environ)
        return Stdio([self._python, "-m", "mcp_memory_service.server"], environ)

    def write(self, text: str) -> tuple[str, dict[str, Any]]:
        return "memory_store", {"content": text, "metadata": {"tags": "b", "type": "note"}}

    def searches(self) -> dict[str, Callable[[str], tuple[str, dict[str, Any]]]]:
        modes = {"semantic": "semantic", "hybrid": "hybrid"} | ({"model": "semantic"} if self._model else {})
        return {
            name: lambda question, mode=mode: (  # type: ignore[misc]
                "memory_search",
                {"query": question, "mode": mode, "limit": 10},
            )
            for name, mode in modes.items()
        }

    def warm(self, client: Stdio, size: int, question: str) -> None:
        client.call(*self.searches()["semantic"](question))


_WITH_OURS = """
import runpy, sys
sys.path.append({!r})
runpy.run_module("mcp_memory_service.server", run_name="__main__")
"""


def _site_packages() -> str:
    """Where this Python's sentence-transformers are; "" where there are none."""
    spec = find_spec("sentence_transformers")
    return str(Path(spec.origin).parents[1]) if spec is not None and spec.origin else ""


def written(server: Ours | Other, size: int, told: Texts, count: int) -> Row:
    """Writes, some in turn with those of the same server over an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        clients = [server.start(search=""), server.over(Path(folder)).start(search="")]
        took: list[list[float]] = [[], []]
        spent = [0.0, 0.0]
        for client in clients:
            client.call(*server.write(told.some(1)[0]))
        for start in range(0, count, BLOCK):
            texts = told.some(min(BLOCK, count - start))
            for number, client in enumerate(clients):
                some, processor = _timed(client, [server.write(text) for text in texts])
                took[number] += some
                spent[number] += processor
        for client in clients:
            client.close()
    if isinstance(server, Ours):
        _embed_the_rest(server)
    return Row(size=size, write=_times(took[0], spent[0]), empty=_times(took[1], spent[1]))


def search(
    servers: Sequence[tuple[Ours | Other, Row]], size: int, questions: Sequence[str], *, model: bool
) -> None:
    """Searches of all servers, with a model or in all their other ways, some of each in turn: what else the
    machine does meanwhile slows all of them."""
    ways = [
        (server, row, mode, ask, server.start(search=mode))
        for server, row in servers
        for mode, ask in server.searches().items()
        if (mode == "model") is model
    ]
    for server, _, _, _, client in ways:
        server.warm(client, size, questions[0])
    took: list[list[float]] = [[] for _ in ways]
    spent = [0.0] * len(ways)
    for start in range(1, len(questions), BLOCK):
        for number, (_, _, _, ask, client) in enumerate(ways):
            some, processor = _timed(client, [ask(asked) for asked in questions[start : start + BLOCK]])
            took[number] += some
            spent[number] += processor
    for (_, row, mode, _, client), some, processor in zip(ways, took, spent, strict=True):
        row.search[mode] = _times(some, processor)
        row.megabytes = max(row.megabytes, client.megabytes)
        client.close()


def _embed_the_rest(server: Ours) -> None:
    """Vectors for what was just written without a model."""
    with closing(Database(server.folder / "memory.db", MIGRATIONS)) as database:
        stored = SqliteVectors(database, PASSAGES)
        embedder = BackgroundEmbedder(Settings()).wait(60)
        assert embedder is not None
        # To look from the first on would read all of a million.
        ((last,),) = database.query("SELECT ifnull(max(item), 0) FROM passage_vector")
        while missing := stored.missing(server.model, 100, int(str(last))):
            made = embedder.embed([text for _, text in missing])
            stored.put(
                server.model, [(item, vector) for (item, _), vector in zip(missing, made, strict=True)]
            )


def _timed(client: Stdio, calls: list[tuple[str, dict[str, Any]]]) -> tuple[list[float], float]:
    """The milliseconds that each call took, and those of the processor for all."""
    took = []
    before = client.processor_seconds
    for tool, arguments in calls:
        began = time.perf_counter()
        result = client.call(tool, arguments)
        took.append((client.arrived - began) * 1000)
        assert not result.get("isError"), result
    return took, (client.processor_seconds - before) * 1000


def _times(took: Sequence[float], processor: float) -> Times:
    return Times(median(took), min(took), processor / len(took))


def _print(name: str, row: Row) -> None:
    for mode, took in row.search.items():
        print(f"{row.size:>10,}  {name:20}{mode:10}{row.write}{took}{row.megabytes:>10.0f}", flush=True)


def peer_python(python: str) -> str:
    """The Python of the venv that holds the other server, made on first use."""
    inside = HOME / "bin" / "python"
    if not (HOME / "bin" / "memory").exists():
        subprocess.run([python, "-m", "venv", HOME], check=True, env={})
        subprocess.run([inside, "-m", "pip", "install", "--quiet", WANTED], check=True)
    return str(inside)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sizes", type=int, nargs="+", default=[0, 1_000, 10_000, 100_000])
    asked.add_argument("--large", type=int, default=1_000_000)
    asked.add_argument("--writes", type=int, default=60)
    asked.add_argument("--searches", type=int, default=60)
    asked.add_argument("--no-peer", action="store_true")
    asked.add_argument(
        "--python", default="/usr/bin/python3", help="makes the venv of the other [%(default)s]"
    )
    asked.add_argument("--data", type=Path, default=DATA)
    options = asked.parse_args()
    real, _ = embedded(options.data)
    embedder = BackgroundEmbedder(Settings()).wait(60)
    assert embedder is not None, "the embeddings extra is not installed"
    rows: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ours").mkdir()
        (Path(folder) / "other").mkdir()
        servers: list[Ours | Other] = [Ours(Path(folder) / "ours", embedder.model)]
        if onnx.can_export() and max(*options.sizes, options.large) >= PAYS:
            onnx.export(Settings().embedding_model, Path(folder) / "ours" / "models")
        if not options.no_peer:
            lent, _ = located(Settings().embedding_model) if _site_packages() else ("", "")
            servers.append(Other(Path(folder) / "other", peer_python(options.python), lent))
            (version,) = (
                d.version for d in distributions(name=PEER, path=[str(*HOME.glob("lib/*/site-packages"))])
            )
            print(f"{PEER} {version}")
        words = ("write ms", "least", "cpu", "search ms", "least", "cpu", "MB")
        print(f"{'memories':>10}  {'server':20}{'search':10}" + "".join(f"{word:>10}" for word in words))
        told = {server.name: Texts(options.data) for server in servers}
        made = {server.name: blends(10**9, real) for server in servers}
        held = dict.fromkeys(told, 0)
        for size in sorted({*options.sizes, options.large} - ({0} - set(options.sizes))):
            measured: list[tuple[Ours | Other, Row]] = []
            for server in servers:
                name = server.name
                if options.large and size == options.large and name == PEER:
                    continue
                server.grow(max(0, size - held[name]), told[name], made[name])
                held[name] = max(size, held[name])
                measured.append((server, written(server, size, told[name], options.writes)))
            for model in (False, True):  # apart, as a model's threads spin for a while after they are done
                search(measured, size, told["ours"].questions[: options.searches + 1], model=model)
            for server, row in measured:
                rows.setdefault(server.name, []).append(row)
                _print(server.name, row)
    _judge(rows)


def _judge(rows: dict[str, list[Row]]) -> None:
    """How the targets are met, where both sizes were measured."""
    for name, some in rows.items():
        for row in some:
            ratio = row.write.median / row.empty.median
            print(
                f"write at {row.size:,}, {name}: {ratio:.2f} x one to an empty store (target at 100,000: 2 x)"
            )
    ours = {row.size: row for row in rows["ours"]}
    theirs = {row.size: row for row in rows.get(PEER, [])}
    for size in sorted(ours.keys() & theirs.keys()):
        for mode, mine in ours[size].search.items():
            other = theirs[size].search.get(mode, theirs[size].search["semantic"])
            faster, cheaper = other.median / mine.median, other.processor / mine.processor
            print(
                f"search at {size:,}, {mode}: {faster:.1f} x as fast as its semantic search, "
                f"{cheaper:.1f} x in processor time (target at 100,000: 30 x)"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve-hashed"]:
        serve_hashed(sys.argv[2])
    else:
        main()
