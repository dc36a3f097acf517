"""How well memory recalls what was said in long conversations, through the MCP tools.

    python tests/benchmarks/locomo.py [FILE] [--kept FOLDER]

FILE (default ../shared/data/locomo_dev.json) is in LoCoMo's format (Maharana et al., ACL 2024). Each
conversation gets a space of its own, each of its sessions is a conversation of memories, added turn by turn
with memory_add; each question goes to memory_search once, with one setting for all. Printed are, by category
of question: the share of the turns that hold the evidence among the first ten results (R@10), the mean
reciprocal rank of the first of them (MRR), and their share in an answer of 2,000 tokens (in 2000); for
memory_search with and without embeddings, and for what is usually done instead, over the same passages: BM25,
the nearest vectors, and both by reciprocal rank fusion. Embedding takes minutes; with --kept a further run
needs none.

Targets for the categories 1 to 4: R@10 at least 77 and in 2000 at least 89; R@10 at least 74 without
embeddings.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import anyio
import apsw
from mcp import Client

from pygent_memory.schema import MIGRATIONS
from pygent_memory.server import build_server
from pygent_shared.database import Database
from pygent_shared.embeddings.background import shared_embedder
from pygent_shared.fulltext import match_query
from pygent_shared.settings import Settings

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "locomo_dev.json"
CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
HEADLINE = (1, 2, 3, 4)
TOKENS = 2000
DEEP = 100
LEG = 200
AT_ONCE = 500
PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    id: str
    session: str
    item: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Question:
    text: str
    category: int
    evidence: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Conversation:
    name: str
    turns: Sequence[Turn]
    questions: Sequence[Question]


@dataclass(frozen=True, kw_only=True)
class Score:
    category: int
    recall: float
    reciprocal: float
    within: float


async def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("file", type=Path, nargs="?", default=DATA)
    asked.add_argument("--kept", type=Path, help="where the memories are kept for the next run")
    options = asked.parse_args()
    conversations = [conversation(entry) for entry in json.loads(options.file.read_text("utf-8"))]
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.kept or Path(scratch)
        hybrid = await through_tools(Settings(data_dir=kept), conversations, "hybrid")
        lexical = await through_tools(Settings(data_dir=kept, embedder="none"), conversations, "lexical")
        plain = usual(Settings(data_dir=kept), conversations)
    print(f"{'':22}{'':14}{'n':>6}{'R@10':>8}{'MRR':>8}{'in 2000':>9}")
    for name, scores in {"memory_search": hybrid, "  without embeddings": lexical, **plain}.items():
        printed(name, scores)


def conversation(entry: Mapping[str, Any]) -> Conversation:
    """One of LoCoMo's entries; evidence that names several turns at once is taken apart."""
    told = entry["conversation"]
    sessions = sorted(
        (key for key in told if re.fullmatch(r"session_\d+", key)), key=lambda key: int(key[8:])
    )
    turns = [
        Turn(id=turn["dia_id"], session=session, item=item(turn, session, told[f"{session}_date_time"]))
        for session in sessions
        for turn in told[session]
    ]
    known = {turn.id for turn in turns}
    questions = [
        Question(text=asked["question"], category=asked["category"], evidence=evidence)
        for asked in entry["qa"]
        if (evidence := frozenset(named(asked["evidence"]) & known))
    ]
    return Conversation(name=entry["sample_id"], turns=turns, questions=questions)


def item(turn: Mapping[str, str], session: str, when: str) -> dict[str, str]:
    """A turn as memory_add takes it: with what a shared photo shows."""
    photo = f" [shares a photo: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
    return {
        "text": turn["text"] + photo,
        "conversation": session,
        "speaker": turn["speaker"],
        "occurred_at": datetime.strptime(when, "%I:%M %p on %d %B, %Y").isoformat(),
    }


def named(evidence: Sequence[str]) -> set[str]:
    return {f"D{int(a)}:{int(b)}" for cited in evidence for a, b in re.findall(r"D:?(\d+):(\d+)", cited)}


async def through_tools(
    settings: Settings, conversations: Sequence[Conversation], retrieval: str
) -> list[Score]:
    """The scores of memory_search."""
    scores = []
    async with Client(build_server(settings, None), read_timeout_seconds=36_000) as client:
        turns = await added(client, conversations, settings.data_dir / "turns.json")
        for told in conversations:
            while (found := await searched(client, told, "all", wait_s=PATIENCE))["pending"]:
                print(f"  {told.name}: {found['pending']} passages to embed", flush=True)
            for asked in told.questions:
                found = await searched(client, told, asked.text)
                assert found["retrieval"] == retrieval, found["why"]
                shown = [turns[result["id"]] for result in found["results"]]
                scores.append(score(asked, shown, shown))
    return scores


async def added(client: Client, conversations: Sequence[Conversation], kept: Path) -> dict[str, str]:
    """Which turn each memory is, as an earlier run noted it or after adding them now."""
    if kept.exists():
        return dict(json.loads(kept.read_text("utf-8")))
    turns: dict[str, str] = {}
    for told in conversations:
        for start in range(0, len(told.turns), AT_ONCE):
            some = told.turns[start : start + AT_ONCE]
            items = [dict(turn.item) for turn in some]
            data = await called(client, "memory_add", items=items, space=told.name, kind="episodic")
            turns |= {made["id"]: turn.id for made, turn in zip(data["results"], some, strict=True)}
    kept.write_text(json.dumps(turns), encoding="utf-8")
    return turns


async def searched(client: Client, told: Conversation, query: str, **options: Any) -> dict[str, Any]:
    setting = {"limit": DEEP, "max_tokens": TOKENS, "space": told.name}
    return await called(client, "memory_search", query=query, **setting, **options)


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def usual(settings: Settings, conversations: Sequence[Conversation]) -> dict[str, list[Score]]:
    """The scores of what is usually done, over the passages that the tools made."""
    turns = json.loads((settings.data_dir / "turns.json").read_text("utf-8"))
    embedder = shared_embedder(settings).wait(PATIENCE)
    assert embedder is not None
    database = Database(settings.data_dir / "memory.db", MIGRATIONS)
    scores: dict[str, list[Score]] = defaultdict(list)
    for told in conversations:
        rows = database.query(
            "SELECT p.id, m.id, p.text FROM passage AS p JOIN memory AS m ON m.key = p.memory "
            "JOIN space AS s ON s.id = p.space WHERE s.name = ?",
            (told.name,),
        )
        turn = {int(str(passage)): turns[memory] for passage, memory, _ in rows}
        texts = {int(str(passage)): str(text) for passage, _, text in rows}
        words = indexed(texts)
        for asked in told.questions:
            (vector,) = embedder.embed([asked.text])
            bm25 = [int(str(row)) for (row,) in words.execute(BM25, (match_query(asked.text), LEG))]
            near = [int(str(row)) for (row,) in database.query(NEAREST, (vector, told.name, LEG))]
            for name, ranked in {"BM25": bm25, "nearest": near, "rank fusion": fused(bm25, near)}.items():
                shown = [turn[passage] for passage in ranked]
                fitting = [turn[passage] for passage in within(ranked, texts)]
                scores[name].append(score(asked, shown, fitting))
    database.close()
    return dict(scores)


BM25 = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY bm25(words) LIMIT ?"
NEAREST = """
    SELECT v.item FROM passage_vector AS v JOIN passage AS p ON p.id = v.item, (SELECT ? AS asked)
    WHERE p.space = (SELECT id FROM space WHERE name = ?)
    ORDER BY vec_distance_cosine(v.vector, asked) LIMIT ?
"""


def indexed(texts: Mapping[int, str]) -> apsw.Connection:
    """A full-text index with nothing but these."""
    words = apsw.Connection(":memory:")
    words.execute("CREATE VIRTUAL TABLE words USING fts5(text, tokenize='porter unicode61')")
    words.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", list(texts.items()))
    return words


def fused(*rankings: Sequence[int]) -> list[int]:
    """By reciprocal ranks (Cormack et al., SIGIR 2009)."""
    total: dict[int, float] = defaultdict(float)
    for ranking in rankings:
        for place, passage in enumerate(ranking):
            total[passage] += 1 / (60 + place + 1)
    return sorted(total, key=lambda passage: -total[passage])


def within(ranked: Sequence[int], texts: Mapping[int, str]) -> Iterator[int]:
    """Those whose bare texts fit into an answer, at four bytes a token."""
    left = TOKENS
    for passage in ranked:
        left -= -(-len(texts[passage].encode()) // 4)
        if left < 0:
            return
        yield passage


def score(asked: Question, ranked: Sequence[str], fitting: Sequence[str]) -> Score:
    first = next((1 / (place + 1) for place, turn in enumerate(ranked) if turn in asked.evidence), 0.0)
    return Score(
        category=asked.category,
        recall=len(asked.evidence & set(ranked[:10])) / len(asked.evidence),
        reciprocal=first,
        within=len(asked.evidence & set(fitting)) / len(asked.evidence),
    )


def printed(name: str, scores: Sequence[Score]) -> None:
    groups = {"1 to 4": HEADLINE, **{f"{number} {of}": (number,) for number, of in CATEGORIES.items()}}
    for group, categories in groups.items():
        if some := [score for score in scores if score.category in categories]:
            figures = [
                mean(getattr(score, of) for score in some) for of in ("recall", "reciprocal", "within")
            ]
            line = "".join(
                f"{100 * figure:{width}.1f}" for figure, width in zip(figures, (8, 8, 9), strict=True)
            )
            print(f"{name if group == '1 to 4' else '':22}{group:14}{len(some):>6}{line}", flush=True)


if __name__ == "__main__":
    anyio.run(main)
