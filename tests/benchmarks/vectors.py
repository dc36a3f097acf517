"""Vector search beside faiss-cpu's flat index and sqlite-vec's scan, in one run, one thread each.

    python tests/benchmarks/vectors.py [--sizes 10000 100000 1000000] [--data FOLDER]

Needs `pip install faiss-cpu` and FOLDER (default ../shared/data), whose BEIR sets give the texts. Queries are
titles, the vectors those of sentences; where a size wants more, blends of two of them on the sphere with
noise, which lie denser than texts do and so are hard for codes. Printed are the processor milliseconds of a
question for ten (least and median of 60), the recall of the exact ten, the ratio to faiss, inserts a second
of processor time, and the memory the codes take; at last how far the scan is from the time in which the
scanned bytes can be read at all. Targets: under a seventh of faiss at 100,000 with recall >= 0.99, under a
sixth at 1,000,000 with recall >= 0.98.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean, median

import numpy as np

from pygent_shared.database import Database
from pygent_shared.embeddings import Embedder
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.vectors import mirror
from pygent_shared.vectors.mirror import MirroredVectors
from pygent_shared.vectors.sqlite_vec import Items, SqliteVectors

DATA = Path(__file__).parents[2].parent / "shared" / "data"
REAL = 14_000
QUERIES = 60
NEAREST = 10
AT_ONCE = 10_000
NOISE = 0.35
ITEMS = Items(table="page", group="book")
TABLE = "CREATE TABLE page (id INTEGER PRIMARY KEY, book INTEGER, text TEXT);" + ITEMS.schema

Search = Callable[[np.ndarray], list[int]]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    asked.add_argument("--data", type=Path, default=DATA)
    options = asked.parse_args()
    real, queries = embedded(options.data)
    print(f"{len(real)} real vectors of {real.shape[1]}, {len(queries)} real queries; top {NEAREST}")
    head = ("ms least", "median", "recall", "of faiss", "inserts/s", "MB")
    print(f"{'':12}{'engine':16}" + "".join(map("{:>{}}".format, head, (9, 9, 8, 10, 12, 7))))
    for size in options.sizes:
        compare(size, real, queries)


def compare(size: int, real: np.ndarray, queries: np.ndarray) -> None:
    """One table of three engines over the same vectors; ours and sqlite-vec read one database."""
    import faiss

    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "pages.db", [TABLE, mirror.schema(ITEMS)])
        flat, stored, ours = (
            faiss.IndexFlatIP(real.shape[1]),
            SqliteVectors(database, ITEMS),
            MirroredVectors(database, ITEMS),
        )
        spent = dict.fromkeys(("faiss flat", "ours", "sqlite-vec scan"), 0.0)
        start = 1
        for vectors in blends(size, real):
            items = range(start, start := start + len(vectors))
            with database.write() as connection:
                connection.executemany("INSERT INTO page VALUES (?, 1, '')", [(item,) for item in items])
            packed = [(item, vector.tobytes()) for item, vector in zip(items, vectors, strict=True)]
            spent["faiss flat"] += measured(partial(flat.add, vectors))
            spent["ours"] += measured(partial(ours.put, "m", packed))
        exact = flat.search(queries, NEAREST)[1] + 1
        before = time.process_time()
        ours.nearest("m", queries[0].tobytes(), [1], NEAREST)
        assert ours.wait("m", 600)
        print(f"{size:>10,}  the mirror is built in {time.process_time() - before:.2f} s of processor time")
        engines: dict[str, Search] = {
            "faiss flat": lambda query: (flat.search(query[None], NEAREST)[1][0] + 1).tolist(),
            "ours": lambda query: list(ours.nearest("m", query.tobytes(), [1], NEAREST)),
            "sqlite-vec scan": lambda query: list(stored.nearest("m", query.tobytes(), [1], NEAREST)),
        }
        megabytes = {"faiss flat": size * real.shape[1] * 4 / 1e6, "ours": ours.megabytes}
        reference = 0.0
        for name, search in engines.items():
            least, middle, recall = timed(search, queries[: 5 if name == "sqlite-vec scan" else None], exact)
            reference = reference or least
            inserts = f"{size / spent[name]:,.0f}" if spent[name] else ""
            print(
                f"{size:>10,}  {name:16}{least:9.2f}{middle:9.2f}{recall:8.3f}{least / reference:10.3f}"
                f"{inserts:>12}{megabytes.get(name, 0):7.0f}",
                flush=True,
            )
        bandwidth(size * real.shape[1] / 8)
        database.close()


def measured(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def timed(search: Search, queries: np.ndarray, exact: np.ndarray) -> tuple[float, float, float]:
    """Least and median processor milliseconds of a query, and the mean recall."""
    search(queries[0])
    took, found = [], []
    for query, expected in zip(queries, exact, strict=False):
        began = time.process_time()
        result = search(query)
        took.append((time.process_time() - began) * 1000)
        found.append(len(set(result) & set(expected.tolist())) / NEAREST)
    return min(took), median(took), mean(found)


def bandwidth(scanned: float) -> None:
    """The time in which the scanned bytes can be read at all, at the memory's measured speed."""
    whole = np.ones(32_000_000, np.uint64)
    speed = whole.nbytes / min(measured(lambda: np.bitwise_or.reduce(whole)) for _ in range(5))
    print(
        f"{'':12}its scan reads {scanned / 1e6:.1f} MB: {scanned / speed * 1e3:.2f} ms at the measured "
        f"{speed / 1e9:.1f} GB/s"
    )


def blends(size: int, real: np.ndarray) -> Iterator[np.ndarray]:
    """The real vectors, and then blends of two of them with noise, in batches."""
    random = np.random.default_rng(11)
    for start in range(0, size, AT_ONCE):
        count = min(AT_ONCE, size - start)
        held = real[start : start + count]
        first, second = (real[random.integers(0, len(real), count - len(held))] for _ in range(2))
        share = random.random((count - len(held), 1), np.float32)
        noise = random.standard_normal(first.shape, np.float32) * np.float32(NOISE / real.shape[1] ** 0.5)
        made = share * first + (1 - share) * second + noise
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        yield np.concatenate([held, made]).astype("<f4")


def embedded(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of sentences and of titles, embedded once and kept beside the temporary files."""
    kept = Path(tempfile.gettempdir()) / f"pygent-benchmark-vectors-{REAL}.npz"
    if not kept.exists():
        embedder = BackgroundEmbedder(Settings()).wait(60)
        assert embedder is not None, "the embeddings extra is not installed"
        sentences, titles = texts(data)
        print(f"embedding {len(sentences)} sentences once ...", flush=True)
        np.savez(kept, real=floats(embedder, sentences), queries=floats(embedder, titles))
    with np.load(kept) as found:
        return found["real"], found["queries"]


def texts(data: Path) -> tuple[list[str], list[str]]:
    found: dict[str, None] = {}
    titles = []
    for path in sorted(data.glob("*/corpus.jsonl")):
        for line in path.open(encoding="utf-8"):
            document = json.loads(line)
            titles.append(document["title"])
            found.update(dict.fromkeys(re.split(r"(?<=[.!?])\s+", document["text"])))
    sentences = [text for text in found if 30 < len(text) < 250]
    return sentences[:: max(1, len(sentences) // REAL)][:REAL], titles[:: len(titles) // QUERIES][:QUERIES]


def floats(embedder: Embedder, texts: list[str]) -> np.ndarray:
    return np.array([np.frombuffer(vector, "<f4") for vector in embedder.embed(texts)])


if __name__ == "__main__":
    main()
