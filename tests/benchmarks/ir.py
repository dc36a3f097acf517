"""How well search finds what was judged relevant, through the MCP tool, on any folder in BEIR's format.

    python tests/benchmarks/ir.py [FOLDER ...] [--kept FOLDER] [--tuning]

Each FOLDER (default: those of ../shared/data that have qrels) holds corpus.jsonl, queries.jsonl and
qrels/test.tsv. Its documents are written as Markdown files and read in by `ingest`; each question goes to
`search` once for each way to compare, and a document stands where its best passage does. Printed are nDCG@10
and recall@10 and @100 (of judged documents). Embedding takes minutes; with --kept a further run needs none.
Targets: hybrid at least 0.74 on SciFact and 0.80 on hotpot100, and nowhere below the better of its legs.

With --tuning the weights of the ranking are tried on questions held apart (of qrels/train.tsv or dev.tsv;
without these the even-numbered ones), and nDCG@10 of the others is printed for the weights in force.

With several folders the questions of each are put to the others as well, which do not answer them, and
printed is how often search said so, and how often it wrongly said it of its own questions. Only odd-numbered
questions are asked: the floor was set by even-numbered ones.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import anyio
from mcp import Client

from pygent_rag import ranking as weights
from pygent_rag.server import build_server
from pygent_shared.settings import Settings

DATA = Path(__file__).parents[2].parent / "shared" / "data"
MODES = ("lexical", "semantic", "hybrid")
DEEP = 100
PATIENCE = 60.0
MOST_TRIED = 200
"""Questions that weights are tried on."""
MOST_ASKED = 100
"""Questions of one set that are put to one corpus."""
MEANING = (0.5, 0.6, 0.7, 0.8)
SURROUNDINGS = (0.0, 0.25, 0.5, 0.75)

Judged = Mapping[str, Mapping[str, int]]
"""Question -> document -> how relevant."""


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    asked.add_argument("--kept", type=Path, help="where files and index are kept for the next run")
    asked.add_argument("--tuning", action="store_true", help="try other weights of the ranking")
    options = asked.parse_args()
    folders = options.folders or sorted(path.parent.parent for path in DATA.glob("*/qrels/test.tsv"))
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.kept or Path(scratch)
        print(f"{'set':14}{'questions':>10}  {'compared':10}{'nDCG@10':>9}{'R@10':>8}{'R@100':>8}")
        for folder in folders:
            await measure(folder, kept / folder.name)
        if options.tuning:
            for folder in folders:
                await tune(folder, kept / folder.name)
        if len(folders) > 1:
            print(f"{'questions of':14}{'put to':14}{'asked':>6}{'nothing answers':>17}")
            for folder in folders:
                await floor(folder, folders, kept / folder.name)


@asynccontextmanager
async def opened(folder: Path, kept: Path) -> AsyncIterator[Client]:
    """A client of a server that holds one set."""
    written(folder, kept / "documents")
    server = build_server(Settings(data_dir=kept / "index"), None)
    async with Client(server, read_timeout_seconds=36_000) as client:
        await called(client, "ingest", path=str(kept / "documents"))
        while (found := await called(client, "search", question="all", wait_s=PATIENCE))["pending"]:
            print(f"  {folder.name}: {found['pending']} passages to embed", flush=True)
        yield client


async def measure(folder: Path, kept: Path) -> None:
    """Read in one set and print a line for each way to compare."""
    texts, judged = questions(folder), judgements(folder / "qrels" / "test.tsv")
    async with opened(folder, kept) as client:
        for mode in MODES:
            rankings = {id: await ranking(client, texts[id], mode) for id in judged}
            scores = [
                mean(score(judged[id], rankings[id]) for id in judged)
                for score in (ndcg, recall(10), recall(100))
            ]
            figures = f"{scores[0]:9.4f}{scores[1]:8.3f}{scores[2]:8.3f}"
            print(f"{folder.name:14}{len(judged):>10}  {mode:10}{figures}", flush=True)


async def tune(folder: Path, kept: Path) -> None:
    """Print a line for each setting of the weights: on questions to tune by, and on the held-out ones."""
    texts, test = questions(folder), judgements(folder / "qrels" / "test.tsv")
    splits = [folder / "qrels" / f"{name}.tsv" for name in ("train", "dev")]
    if split := next((path for path in splits if path.exists()), None):
        tried, held_out = judgements(split), test
    else:
        ids = list(test)
        tried, held_out = ({id: test[id] for id in ids[start::2]} for start in (0, 1))
    step = -(-len(tried) // MOST_TRIED)
    tried = {id: tried[id] for id in list(tried)[::step]}
    print(f"{folder.name}: nDCG@10 of {len(tried)} questions to tune by")
    chosen = weights.SEMANTIC, weights.AROUND
    async with opened(folder, kept) as client:
        for setting in product(MEANING, SURROUNDINGS):
            if chosen[0] != setting[0] and chosen[1] != setting[1]:
                continue
            weights.SEMANTIC, weights.AROUND = setting
            score = await hybrid(client, texts, tried)
            print(f"  meaning {setting[0]:.2f}, surroundings {setting[1]:.2f}{score:9.4f}", flush=True)
        weights.SEMANTIC, weights.AROUND = chosen
        score = await hybrid(client, texts, held_out)
        print(f"  of {len(held_out)} held out, with those in force ({chosen[0]}, {chosen[1]}): {score:.4f}")


async def hybrid(client: Client, texts: Mapping[str, str], judged: Judged) -> float:
    return mean([ndcg(judged[id], await ranking(client, texts[id], "hybrid")) for id in judged])


async def floor(folder: Path, folders: Iterable[Path], kept: Path) -> None:
    """Print how often search in one set says that nothing answers, for the questions of each set."""
    async with opened(folder, kept) as client:
        for other in folders:
            texts, ids = questions(other), list(judgements(other / "qrels" / "test.tsv"))[1::2]
            asked = ids[:: -(-len(ids) // MOST_ASKED)]
            refused = [(await called(client, "search", question=texts[id]))["below"] for id in asked]
            print(f"{other.name:14}{folder.name:14}{len(asked):>6}{mean(refused):>16.1%}", flush=True)


def questions(folder: Path) -> dict[str, str]:
    return {entry["_id"]: entry["text"] for entry in lines(folder / "queries.jsonl")}


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def ranking(client: Client, question: str, mode: str) -> list[str]:
    """The documents, best first."""
    asked = {"question": question, "mode": mode, "limit": DEEP, "max_tokens": 50_000}
    found = await called(client, "search", **asked)
    assert found["retrieval"] == mode, found["why"]
    return list(dict.fromkeys(Path(passage["path"]).stem for passage in found["passages"]))


def written(folder: Path, target: Path) -> None:
    """The corpus as files, named by their ids."""
    target.mkdir(parents=True, exist_ok=True)
    for document in lines(folder / "corpus.jsonl"):
        path = target / f"{document['_id']}.md"
        if not path.exists():
            path.write_text(f"# {document['title']}\n\n{document['text']}\n", encoding="utf-8")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def judgements(path: Path) -> Judged:
    judged: dict[str, dict[str, int]] = {}
    for line in path.read_text("utf-8").splitlines()[1:]:
        question, document, relevance = line.split("\t")
        if int(relevance) > 0:
            judged.setdefault(question, {})[document] = int(relevance)
    return judged


def ndcg(relevant: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Normalised discounted cumulative gain of the first ten (Järvelin and Kekäläinen, 2002)."""

    def gain(relevances: Sequence[int]) -> float:
        return sum(relevance / math.log2(place + 2) for place, relevance in enumerate(relevances[:10]))

    ideal = sorted(relevant.values(), reverse=True)
    return gain([relevant.get(document, 0) for document in ranked]) / gain(ideal)


def recall(depth: int) -> Any:
    return lambda relevant, ranked: len(relevant.keys() & set(ranked[:depth])) / len(relevant)


if __name__ == "__main__":
    anyio.run(main)
