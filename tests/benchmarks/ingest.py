"""Documents a second of ingestion beside bare encoding by the same embedder, and what syncing nothing costs.

    python tests/benchmarks/ingest.py [DOCUMENTS [FILES]]

Makes a tree of DOCUMENTS (2,000) Markdown files of some 120 words in a temporary folder; ingests it until
the last vector is stored, and encodes the same chunks with the same engine and nothing else, in batches of
64: by ONNX where that is installed, and (a quarter of them) by numpy. Then the first search of a fresh
process; then a sync of an unchanged tree of FILES (10,000). Prints wall and processor seconds. Targets: a
ratio of 0.9; under 0.3 s of processor time and 120 MB beyond the server's start; under 2 s a core.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pygent_rag.ingest import unwatched
from pygent_rag.library import Library
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.embeddings import Embedder, bert, onnx
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.settings import Settings
from pygent_shared.vectors.backlog import BATCH

WORDS = (
    "tide gauge river weir station mud gull heron current level sensor radar bubbler datum offset reading "
    "survey boat logger cabinet battery harbour channel sluice pump bank flood storm record ebb rises falls "
    "measures keeps shows tells marks opens closes stands before after under over with without because"
).split()

FIRST_SEARCH = """
import json, re, sys, time
from pathlib import Path
from pygent_rag.library import open_library
from pygent_rag.server import build_server
from pygent_shared.settings import Settings

settings = Settings(data_dir=Path(sys.argv[1]))
build_server(settings, None)
def now():
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
    return time.perf_counter(), time.process_time(), int(peak[1]) / 1000
before = now()
library = open_library(settings)
found = library.search("Where does the tide gauge stand?", "", 5, 2000, 10)
after = now()
library.close()
print(json.dumps([*(b - a for a, b in zip(before, after)), found.retrieval, "torch" in sys.modules]))
"""


def tree(folder: Path, count: int, words: int) -> Path:
    """Files of so many random words, no two alike, last changed long ago."""
    chosen = random.Random(count)
    for number in range(count):
        path = folder / f"{number % 100:02}" / f"{number:05}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = " ".join(chosen.choice(WORDS) for _ in range(words))
        path.write_text(f"# Note {number}\n\n{text.capitalize()}.\n")
        os.utime(path, (1e9, 1e9))
    return folder


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def ingestion(name: str, embedder: Embedder, data: Path, folder: Path, count: int) -> None:
    """Ingests with an engine, and encodes the same texts with it and nothing else, before and after."""
    settings = Settings(data_dir=data, embedder="none")
    store = SqliteStore(data / "rag.db")
    library = Library(store, BackgroundEmbedder.loaded(embedder), settings)
    texts: list[str] = []

    def ingest() -> None:
        for _ in library.ingest("notes", str(folder), unwatched):
            pass
        assert library.settle(3600)

    def encode() -> None:
        for start in range(0, len(texts), BATCH):
            embedder.embed(texts[start : start + BATCH])

    embedder.embed(["warm"])
    whole = timed(ingest)
    texts += [
        str(text)
        for (text,) in store.database.query("SELECT title || char(10) || char(10) || text FROM chunk")
    ]
    bare = timed(encode)
    library.close()
    print(f"\n{name}: {count} documents, {len(texts)} chunks")
    print(f"{'':12}{'docs/s wall':>12}{'docs/s CPU':>12}")
    for what, (wall, processor) in (("ingestion", whole), ("encoding", bare)):
        print(f"{what:12}{count / wall:12.1f}{count / processor:12.1f}")
    print(f"{'ratio':12}{bare[0] / whole[0]:12.2f}{bare[1] / whole[1]:12.2f}")


def unchanged(data: Path, folder: Path, count: int) -> None:
    library = Library(
        SqliteStore(data / "rag.db"), BackgroundEmbedder(Settings(embedder="none")), Settings(embedder="none")
    )
    first = timed(lambda: list(library.ingest("notes", str(folder), unwatched)))
    again = min(timed(lambda: list(library.sync("notes", unwatched))) for _ in range(3))
    library.close()
    print(f"\n{count} files       wall s   CPU s")
    print(f"first read   {first[0]:9.2f}{first[1]:8.2f}\nunchanged    {again[0]:9.2f}{again[1]:8.2f}")


def first_search(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_SEARCH, str(data)], capture_output=True, text=True, check=True
    )
    wall, processor, megabytes, retrieval, torch = json.loads(done.stdout.splitlines()[-1])
    print(
        f"\nfirst search ({retrieval}): {wall:.2f} s, {processor:.2f} CPU s, {megabytes:.0f} MB more", end=""
    )
    print(f", torch {'' if torch else 'not '}loaded")


def main() -> None:
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory() as made:
        base = Path(made)
        model = Settings().embedding_model
        engines: dict[str, Callable[[], Embedder]] = {}
        if onnx.can_export():
            engines["ONNX int8"] = lambda: onnx.load(model, base / "models")
        engines["numpy"] = lambda: bert.load(model)
        for number, (name, load) in enumerate(engines.items()):
            count = documents if number == 0 else documents // 4
            folder = tree(base / f"documents{number}", count, 120)
            ingestion(name, load(), base / f"data{number}", folder, count)
        first_search(base / "data0")
        unchanged(base / "files", tree(base / "tree", files, 20), files)


if __name__ == "__main__":
    main()
