"""How much of the evidence a research gathers, by who drives it, on a set whose questions need two documents.

    python tests/benchmarks/research.py [FOLDER] [--kept FOLDER]

FOLDER (default ../shared/data/hotpot100) is in BEIR's format. All goes through the MCP tool `research`.
Compared are one shot (the first search's passages), a script that follows names it has not asked for yet, and
an oracle, which knows the documents and asks for a missing one by its title: what the loop can reach at most.
Printed are the share of the evidence served, the share of questions with all of it, and the documents served
and searches made on average. No language model is in it, and the script is no substitute for one: it gains
about what as many documents of one search do (a hundred questions tell no less than 0.08 apart). Embedding
takes minutes; with --kept a further run needs none (of ir.py too).
"""

from __future__ import annotations

import argparse
import math
import re
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from statistics import mean
from typing import Any

import anyio
from ir import DATA, PATIENCE, called, judgements, lines, written
from mcp import Client

from pygent_rag.server import build_server
from pygent_shared.fulltext import terms
from pygent_shared.settings import Settings

SEARCHES = 4
RESULTS = 8
KEPT = 3
NAME = re.compile(r"[A-Z][\w.'’-]+(?: (?:of|the|and|de|von|van|in) (?=[A-Z])| (?=[A-Z])[A-Z][\w.'’-]+)*")

Ends = tuple[Collection[str], int]
"""The documents served, and the searches made."""
Drive = Callable[[Client, str, set[str]], Awaitable[Ends]]


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path, nargs="?", default=DATA / "hotpot100", metavar="FOLDER")
    asked.add_argument("--kept", type=Path, help="where files and index are kept for the next run")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        await measure(options.folder, (options.kept or Path(scratch)) / options.folder.name)


async def measure(folder: Path, kept: Path) -> None:
    corpus = {document["_id"]: document for document in lines(folder / "corpus.jsonl")}
    questions = {entry["_id"]: entry["text"] for entry in lines(folder / "queries.jsonl")}
    judged = judgements(folder / "qrels" / "test.tsv")
    written(folder, kept / "documents")
    async with Client(
        build_server(Settings(data_dir=kept / "index"), None), read_timeout_seconds=36_000
    ) as client:
        await called(client, "ingest", path=str(kept / "documents"))
        while (found := await called(client, "search", question="all", wait_s=PATIENCE))["pending"]:
            print(f"  {found['pending']} passages to embed", flush=True)
        script, oracle = Script(corpus), Oracle(corpus)
        ways: dict[str, Drive] = {
            **{f"one shot, top {most}": one_shot(most) for most in (3, 8, 10, 12)},
            "scripted searcher": script.drive,
            "oracle, first 3 kept too": oracle.drive,
            "oracle": oracle.drive_exactly,
        }
        print(f"{'driven by':26}{'evidence':>9}{'all of it':>11}{'documents':>11}{'searches':>10}")
        for name, drive in ways.items():
            ends = [(await drive(client, questions[id], set(judged[id])), set(judged[id])) for id in judged]
            shares = [len(gold & set(served)) / len(gold) for (served, _), gold in ends]
            figures = (mean(shares), mean(share == 1 for share in shares))
            costs = (mean(len(served) for (served, _), _ in ends), mean(made for (_, made), _ in ends))
            print(f"{name:26}{figures[0]:9.3f}{figures[1]:11.2f}{costs[0]:11.1f}{costs[1]:10.1f}", flush=True)


async def begin(client: Client, question: str, results: int = RESULTS) -> dict[str, Any]:
    return await called(client, "research", question=question, results=results, searches=SEARCHES)


async def served(client: Client, session: str) -> list[str]:
    data = await called(client, "research", session=session, finish=True, max_tokens=50_000)
    return list(dict.fromkeys(document(entry) for entry in data["evidence"]))


def document(entry: dict[str, Any]) -> str:
    return Path(entry["path"]).stem


def one_shot(most: int) -> Drive:
    async def drive(client: Client, question: str, gold: set[str]) -> Ends:
        begun = await begin(client, question, most)
        return await served(client, begun["session"]), 1

    return drive


class Script:
    """Keeps the best three passages of each search, and asks for the question with the rarest name in them
    that nobody asked for yet; a name in an earlier passage, and a title, come before others."""

    def __init__(self, corpus: dict[str, dict[str, Any]]) -> None:
        texts = (set(terms(f"{entry['title']} {entry['text']}")) for entry in corpus.values())
        known = Counter(term for text in texts for term in text)
        self._rarity = {term: math.log(len(corpus) / count) for term, count in known.items()}

    async def drive(self, client: Client, question: str, gold: set[str]) -> Ends:
        data = await begin(client, question)
        session, kept, asked = data["session"], list[dict[str, Any]](), {question.lower()}
        shown: dict[str, dict[str, Any]] = {}
        for made in range(1, SEARCHES + 1):
            shown |= {entry["id"]: entry for entry in data["found"]}
            best = [shown[id] for id in data["ranking"] if shown[id] not in kept][:KEPT]
            kept += best
            step: dict[str, Any] = {"session": session, "select": [entry["id"] for entry in best]}
            name = self._name(kept, " ".join(asked)) if made < SEARCHES else None
            if name is None:
                await called(client, "research", **step)
                break
            asked.add(name.lower())
            data = await called(client, "research", **step, query=f"{question} {name}", results=RESULTS)
        return await served(client, session), made

    def _name(self, kept: list[dict[str, Any]], asked: str) -> str | None:
        worth: dict[str, float] = {}
        for place, entry in enumerate(kept):
            for name in (entry["title"], *NAME.findall(entry["text"])[:12]):
                if len(name) > 2 and name.lower() not in asked:
                    rarity = sum(self._rarity.get(term, 0) for term in terms(name))
                    more = 1.3 if name == entry["title"] else 1
                    worth[name] = max(worth.get(name, 0), rarity * more / math.sqrt(1 + place))
        return max(worth, key=lambda name: worth[name], default=None)


class Oracle:
    """Selects what is evidence and asks for the title of what is missing."""

    def __init__(self, corpus: dict[str, dict[str, Any]]) -> None:
        self._corpus = corpus

    async def drive(self, client: Client, question: str, gold: set[str]) -> Ends:
        return await self._drive(client, question, gold, KEPT)

    async def drive_exactly(self, client: Client, question: str, gold: set[str]) -> Ends:
        return await self._drive(client, question, gold, 0)

    async def _drive(self, client: Client, question: str, gold: set[str], blind: int) -> Ends:
        data = await begin(client, question)
        session, missing, made = data["session"], set(gold), 1
        chosen = [entry["id"] for entry in data["found"][:blind]]
        missing -= {document(entry) for entry in data["found"][:blind]}
        while True:
            wanted = [entry for entry in data["found"] if document(entry) in missing]
            chosen += [entry["id"] for entry in wanted]
            missing -= {document(entry) for entry in wanted}
            step: dict[str, Any] = {"session": session, "select": chosen}
            if not missing or made == SEARCHES:
                break
            title = self._corpus[min(missing)]["title"]
            data = await called(client, "research", **step, query=title, results=RESULTS)
            made += 1
        if chosen:
            await called(client, "research", **step)
        return await served(client, session), made


if __name__ == "__main__":
    anyio.run(main)
