"""How often tool search finds the right tool, and what it saves, on two public sets.

    python tests/benchmarks/toolsearch.py [FOLDER]

FOLDER (default ../shared/data/toolsearch) holds the files of mcpproxy-go (MIT; 47 graded queries over 45
tools) and of LiveMCPBench (Apache-2.0; the annotated steps of its tasks over 527 tools of 70 servers; tasks
with as many steps as tools count, step N needing tool N). Everything goes through the modules that serve the
tool. recall@k is the share of a query's right tools among the first k; "floor" is recall@8 of what is
answered, after the score floor; "off" is how many of 20 everyday requests are answered "nothing fits": no
tool of mcpproxy's serves any, a few of LiveMCPBench's serve some. Scaled scores ("minmax") have no floor.
Targets: recall@5 of the mix >= 0.85 and >= 0.75.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from pygent_registry.catalogue import Definition, shown_name
from pygent_registry.search.index import DefinitionIndex
from pygent_registry.search.ranking import DENSE, FLOORS, LEXICAL, Lexicon, Tool, fitting, ranked
from pygent_registry.search.tools import definitions, tokens
from pygent_shared.embeddings.background import shared_embedder
from pygent_shared.fusion import min_max_sum
from pygent_shared.settings import Settings

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "toolsearch"
CUTS = (1, 5, 10)
LIMIT = 8
OFF = (
    "book a flight to Lisbon",
    "order a pizza with mushrooms",
    "play some jazz music",
    "turn off the kitchen lights",
    "translate this poem into Finnish",
    "send an SMS to my mother",
    "what is the weather in Oslo tomorrow",
    "transfer 200 euros to Anna's bank account",
    "edit a video and add subtitles",
    "schedule a dentist appointment",
    "print a shipping label",
    "recognise the face in this photo",
    "start the washing machine",
    "deploy a kubernetes cluster",
    "compose a symphony",
    "asdf qwer zxcv",
    "create a Jira ticket",
    "buy concert tickets",
    "measure my heart rate",
    "unlock the front door",
)

Scores = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked, and groups of tools: of each group any one is right."""

    text: str
    right: Sequence[frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    name: str
    tools: Sequence[Tool]
    definitions: Mapping[str, Definition]
    queries: Sequence[Query]


def mcpproxy(folder: Path) -> DataSet:
    """Each labelled tool counts, whatever its grade."""
    listed = _read(folder / "mcpproxy_corpus_v1.tools.json")["tools"]
    queries = _read(folder / "mcpproxy_retrieval_golden_v1.json")["queries"]
    return _data_set(
        "mcpproxy",
        [(item["server"], {"name": item["tool"], "description": item["description"]}) for item in listed],
        [
            (query["query"], [label["tool_id"].replace(":", "__") for label in query["labels"]])
            for query in queries
        ],
    )


def livemcp(folder: Path) -> DataSet:
    """A step names its tool without the server, so a tool of that name on any server is right."""
    listed = [
        (server, tool)
        for entry in _read(folder / "livemcp_tools.json")
        for server, found in entry["tools"].items()
        for tool in found["tools"]
    ]
    steps = [
        pair
        for task in _read(folder / "livemcp_annotations.json")
        for pair in _steps(task["Annotator Metadata"])
    ]
    named = {tool["name"] for _, tool in listed}
    return _data_set("livemcp", listed, [(step, [name]) for step, name in steps if name in named])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _steps(annotation: Mapping[str, str]) -> list[tuple[str, str]]:
    steps, tools = (
        re.findall(r"^\s*\d+[.)]\s*(.*?)\s*$", annotation[key], re.M) for key in ("Steps", "Tools")
    )
    return list(zip(steps, tools, strict=True)) if len(steps) == len(tools) else []


def _data_set(
    name: str, listed: Sequence[tuple[str, Definition]], asked: Sequence[tuple[str, Sequence[str]]]
) -> DataSet:
    tools = [
        Tool(
            shown=shown_name(server, tool["name"]),
            name=tool["name"],
            server=server,
            description=tool.get("description") or "",
        )
        for server, tool in listed
    ]
    by_name: dict[str, set[str]] = {}
    for tool in tools:
        by_name.setdefault(tool.shown, set()).add(tool.shown)
        by_name.setdefault(tool.name, set()).add(tool.shown)
    return DataSet(
        name=name,
        tools=tools,
        definitions={
            tool.shown: {**definition, "name": tool.shown}
            for tool, (_, definition) in zip(tools, listed, strict=True)
        },
        queries=[
            Query(text=text, right=[frozenset(by_name[right]) for right in rights]) for text, rights in asked
        ],
    )


def recall(answered: Sequence[str], right: Sequence[frozenset[str]]) -> float:
    return sum(not group.isdisjoint(answered) for group in right) / len(right)


def reciprocal_rank(answered: Sequence[str], right: Sequence[frozenset[str]]) -> float:
    wanted = frozenset[str]().union(*right)
    return next((1 / place for place, name in enumerate(answered, 1) if name in wanted), 0.0)


def measured(data: DataSet, score: Callable[[str], Scores], floor: float) -> dict[str, float]:
    """Every figure of one way to rank, over all queries of a set."""
    every = {tool.shown for tool in data.tools}
    scored = [(score(query.text), query.right) for query in data.queries]
    figures = {
        f"R@{cut}": mean(recall(list(scores)[:cut], right) for scores, right in scored) for cut in CUTS
    }
    figures["MRR"] = mean(reciprocal_rank(list(scores), right) for scores, right in scored)
    figures["floor"] = mean(
        recall(list(fitting(scores, floor, LIMIT, every)), right) for scores, right in scored
    )
    figures["off"] = sum(not fitting(score(text), floor, LIMIT, every) for text in OFF)
    return figures


def measure(data: DataSet, index: DefinitionIndex) -> dict[str, dict[str, float]]:
    """BM25 alone, vectors alone, both scaled by each query's lowest and highest, and the mix that serves."""
    lexicon = Lexicon(data.tools)
    texts = {tool.text for tool in data.tools}

    def cosines(query: str) -> dict[str, float]:
        near = index.cosines(query, texts)
        return {tool.shown: near[tool.text] for tool in data.tools}

    return {
        "bm25": measured(data, lambda query: ranked(lexicon.scores(query), {}), FLOORS["lexical"]),
        "dense": measured(data, lambda query: ranked(cosines(query), {}), FLOORS["hybrid"]),
        "minmax": measured(
            data, lambda query: min_max_sum((lexicon.scores(query), cosines(query)), (LEXICAL, DENSE)), 0.0
        ),
        "mix": measured(data, lambda query: ranked(lexicon.scores(query), cosines(query)), FLOORS["hybrid"]),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if not folder.is_dir():
        sys.exit(f'There is no folder "{folder}". Name the one with the data: toolsearch.py FOLDER')
    sets = [mcpproxy(folder), livemcp(folder)]
    embedder = shared_embedder(Settings())
    with tempfile.TemporaryDirectory() as scratch:
        index = DefinitionIndex(Path(scratch) / "tools.db", embedder)
        index.keep({tool.text for data in sets for tool in data.tools})
        if not index.wait(600):
            sys.exit(f"The definitions were not embedded: {embedder.why or 'it took over 600 s'}.")
        for data in sets:
            _print(data, measure(data, index))
        index.close()


def _print(data: DataSet, figures: Mapping[str, Mapping[str, float]]) -> None:
    print(f"{data.name}: {len(data.queries)} queries over {len(data.tools)} tools")
    print(f"  {'':6}" + "".join(f"{name:>7}" for name in figures["mix"]))
    for way, found in figures.items():
        shown = "".join(
            f"{value:7.0f}" if name == "off" else f"{value:7.3f}" for name, value in found.items()
        )
        print(f"  {way:6}{shown}")
    full = tokens(data.definitions.values())
    search = tokens(definitions(dict.fromkeys(tool.server for tool in data.tools)).values())
    print(f"  tokens of the list: all {full:,}, search mode {search:,}")


if __name__ == "__main__":
    main()
