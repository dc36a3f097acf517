"""How well search finds what was judged relevant, through the MCP tool, on any folder in BEIR's format.

    python tests/benchmarks/ir.py [FOLDER ...] [--kept FOLDER]

Each FOLDER (default: those of ../shared/data that have qrels) holds corpus.jsonl, queries.jsonl and
qrels/test.tsv. Its documents are written as Markdown files and read in by `ingest`; each question goes to
`search` once for each way to compare, and a document stands where its best passage does. Printed are nDCG@10
and recall@10 and @100 (of judged documents). Embedding takes minutes; with --kept a further run needs none.
Targets: hybrid at least 0.74 on SciFact and 0.80 on hotpot100, and nowhere below the better of its legs.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import anyio
from mcp import Client

from pygent_rag.server import build_server
from pygent_shared.settings import Settings

DATA = Path(__file__).parents[2].parent / "shared" / "data"
MODES = ("lexical", "semantic", "hybrid")
DEEP = 100
PATIENCE = 60.0

Judged = Mapping[str, Mapping[str, int]]
"""Question -> document -> how relevant."""


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    asked.add_argument("--kept", type=Path, help="where files and index are kept for the next run")
    options = asked.parse_args()
    folders = options.folders or sorted(path.parent.parent for path in DATA.glob("*/qrels/test.tsv"))
    print(f"{'set':14}{'questions':>10}  {'compared':10}{'nDCG@10':>9}{'R@10':>8}{'R@100':>8}")
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            await measure(folder, (options.kept or Path(scratch)) / folder.name)


async def measure(folder: Path, kept: Path) -> None:
    """Read in one set and print a line for each way to compare."""
    texts = {entry["_id"]: entry["text"] for entry in lines(folder / "queries.jsonl")}
    judged = judgements(folder / "qrels" / "test.tsv")
    written(folder, kept / "documents")
    server = build_server(Settings(data_dir=kept / "index"), None)
    async with Client(server, read_timeout_seconds=36_000) as client:
        await called(client, "ingest", path=str(kept / "documents"))
        while (found := await called(client, "search", question="all", wait_s=PATIENCE))["pending"]:
            print(f"  {folder.name}: {found['pending']} passages to embed", flush=True)
        for mode in MODES:
            rankings = {id: await ranking(client, texts[id], mode) for id in judged}
            scores = [
                mean(score(judged[id], rankings[id]) for id in judged)
                for score in (ndcg, recall(10), recall(100))
            ]
            figures = f"{scores[0]:9.4f}{scores[1]:8.3f}{scores[2]:8.3f}"
            print(f"{folder.name:14}{len(judged):>10}  {mode:10}{figures}", flush=True)


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
