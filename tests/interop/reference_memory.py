"""What the reference memory server answers to some calls, recorded once.

    python -m tests.interop.reference_memory --record

The calls are ours, and go one after the other to one `@modelcontextprotocol/server-memory` with an empty
graph (`real_servers.py` installs it). Its answers are kept in `tests/servers/reference_memory.json`, which
`tests/servers/test_memory_reference.py` holds our nine tools against; where it is installed,
`test_reference_memory.py` holds the recording against it.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from .real_servers import NODE_SERVERS, entry, missing

RECORDING = Path(__file__).parents[1] / "servers" / "reference_memory.json"
SERVER = "server-memory"
SECONDS = 60.0

Call = tuple[str, str, dict[str, Any]]
"""A name to speak of it, the tool, and the arguments."""


def entity(name: str, type: str = "thing", *observations: str) -> dict[str, Any]:
    return {"name": name, "entityType": type, "observations": list(observations)}


def relation(source: str, type: str, target: str) -> dict[str, str]:
    return {"from": source, "to": target, "relationType": type}


def told(name: str, *contents: str) -> dict[str, Any]:
    return {"entityName": name, "contents": list(contents)}


def gone(name: str, *observations: str) -> dict[str, Any]:
    return {"entityName": name, "observations": list(observations)}


def calls() -> Iterator[Call]:
    """The calls, in order: each meets what those before it left."""
    yield from _creating()
    yield from _relating()
    yield from _observing()
    yield from _searching()
    yield from _opening()
    yield from _deleting()
    yield from _misusing()


def _creating() -> Iterator[Call]:
    make = "create_entities"
    yield "an empty graph", "read_graph", {}
    yield "an empty graph searched", "search_nodes", {"query": "anything"}
    yield "an empty graph opened", "open_nodes", {"names": ["Ann"]}
    yield "one entity", make, {"entities": [entity("Ann", "person", "likes tea", "Lives in Lisbon")]}
    yield (
        "several entities",
        make,
        {"entities": [entity("Acme", "company", "makes anvils"), entity("Lisbon", "city")]},
    )
    yield "no entities", make, {"entities": []}
    yield "an entity that is there", make, {"entities": [entity("Ann", "robot", "hums")]}
    yield "one old and one new", make, {"entities": [entity("Ann"), entity("Bo", "person", "plays chess")]}
    yield "names differ in case", make, {"entities": [entity("ann", "cat", "purrs")]}
    yield (
        "one name twice in a call",
        make,
        {"entities": [entity("Twin", "thing", "first"), entity("Twin", "other", "second")]},
    )
    yield "an observation twice", make, {"entities": [entity("Echo", "thing", "again", "again")]}
    yield (
        "unicode",
        make,
        {
            "entities": [
                entity("東京 🗼", "都市", "人口は約1400万人", "naïve café", 'quote " and \\ and \n line')
            ]
        },
    )
    yield "an empty type", make, {"entities": [entity("Typeless", "")]}
    yield "an empty observation", make, {"entities": [entity("Hollow", "thing", "")]}
    yield "an empty name", make, {"entities": [entity("", "thing", "nameless")]}
    yield (
        "fields it does not know",
        make,
        {"entities": [{**entity("Extra", "thing", "kept"), "color": "red"}]},
    )
    yield "a long observation", make, {"entities": [entity("Long", "thing", "word " * 2_000)]}


def _relating() -> Iterator[Call]:
    relate = "create_relations"
    yield "one relation", relate, {"relations": [relation("Ann", "works at", "Acme")]}
    yield "the same relation", relate, {"relations": [relation("Ann", "works at", "Acme")]}
    yield "the other way round", relate, {"relations": [relation("Acme", "works at", "Ann")]}
    yield "another type", relate, {"relations": [relation("Ann", "owns", "Acme")]}
    yield (
        "one relation twice in a call",
        relate,
        {"relations": [relation("Bo", "knows", "Ann"), relation("Bo", "knows", "Ann")]},
    )
    yield "a dangling end", relate, {"relations": [relation("Bo", "dreams of", "Atlantis")]}
    yield "two dangling ends", relate, {"relations": [relation("Mu", "lies by", "Lemuria")]}
    yield "to itself", relate, {"relations": [relation("Bo", "trusts", "Bo")]}
    yield "no relations", relate, {"relations": []}
    yield "an empty relation type", relate, {"relations": [relation("Ann", "", "Lisbon")]}
    yield "a unicode relation", relate, {"relations": [relation("東京 🗼", "姉妹都市", "Lisbon")]}


def _observing() -> Iterator[Call]:
    add = "add_observations"
    yield "a new observation", add, {"observations": [told("Ann", "has a boat")]}
    yield "an old and a new one", add, {"observations": [told("Ann", "likes tea", "sings")]}
    yield "for two entities", add, {"observations": [told("Bo", "is tall"), told("Acme", "is old")]}
    yield "for one entity twice", add, {"observations": [told("Bo", "runs"), told("Bo", "runs", "swims")]}
    yield "one twice in a call", add, {"observations": [told("Bo", "climbs", "climbs")]}
    yield "no contents", add, {"observations": [told("Bo")]}
    yield "nothing to add", add, {"observations": []}
    yield "to an unknown entity", add, {"observations": [told("Zebulon", "x")]}
    yield "to a nearly known entity", add, {"observations": [told("Annn", "x")]}
    yield "known and unknown at once", add, {"observations": [told("Bo", "vanishes"), told("Zebulon", "x")]}
    yield "what that left", "open_nodes", {"names": ["Bo"]}
    yield "blanks apart the same", add, {"observations": [told("Bo", "is  tall ")]}
    yield "case apart the same", add, {"observations": [told("Bo", "IS TALL")]}


def _searching() -> Iterator[Call]:
    search = "search_nodes"
    yield "a word of an observation", search, {"query": "anvils"}
    yield "part of a word", search, {"query": "nvil"}
    yield "other case", search, {"query": "LISBON"}
    yield "a type", search, {"query": "company"}
    yield "a name", search, {"query": "Bo"}
    yield "several words in order", search, {"query": "plays chess"}
    yield "a unicode word", search, {"query": "約1400"}
    yield "a letter with an accent", search, {"query": "CAFÉ"}
    yield "what SQL and FTS would read", search, {"query": '100% "OR" NEAR(* _\'; --'}
    yield "no hit", search, {"query": "xylophone"}
    yield "a question", search, {"query": "Which game does Bo play, chess?"}


def _opening() -> Iterator[Call]:
    yield "one node", "open_nodes", {"names": ["Acme"]}
    yield "several nodes", "open_nodes", {"names": ["Lisbon", "Ann"]}
    yield "a name twice", "open_nodes", {"names": ["Lisbon", "Lisbon"]}
    yield "an unknown node", "open_nodes", {"names": ["Zebulon"]}
    yield "a known and an unknown", "open_nodes", {"names": ["Zebulon", "ann"]}
    yield "a dangling name", "open_nodes", {"names": ["Atlantis"]}
    yield "no nodes", "open_nodes", {"names": []}


def _deleting() -> Iterator[Call]:
    yield "an observation", "delete_observations", {"deletions": [gone("Ann", "likes tea")]}
    yield "an observation not there", "delete_observations", {"deletions": [gone("Ann", "likes tea")]}
    yield "an observation of nobody", "delete_observations", {"deletions": [gone("Zebulon", "x")]}
    yield "it told again", "add_observations", {"observations": [told("Ann", "likes tea")]}
    yield "a relation", "delete_relations", {"relations": [relation("Acme", "works at", "Ann")]}
    yield "a relation not there", "delete_relations", {"relations": [relation("Acme", "works at", "Ann")]}
    yield "an entity", "delete_entities", {"entityNames": ["Bo"]}
    yield "an entity not there", "delete_entities", {"entityNames": ["Bo", "Zebulon"]}
    yield "a dangling end deleted", "delete_entities", {"entityNames": ["Lemuria"]}
    yield "no entity", "delete_entities", {"entityNames": []}
    yield "what the odd ones left", "delete_entities", {"entityNames": ["Twin", "Echo", "Hollow", "", "Long"]}
    yield "all that is left", "read_graph", {}
    yield "made again", "create_entities", {"entities": [entity("Bo", "dog", "barks")]}
    yield "nothing of before", "open_nodes", {"names": ["Bo"]}


def _misusing() -> Iterator[Call]:
    yield "a number for a name", "create_entities", {"entities": [entity(5)]}  # type: ignore[arg-type]
    yield "no type", "create_entities", {"entities": [{"name": "A", "observations": []}]}
    yield "no observations", "create_entities", {"entities": [{"name": "A", "entityType": "b"}]}
    yield "null observations", "create_entities", {"entities": [{**entity("A"), "observations": None}]}
    yield "text for a list", "create_entities", {"entities": "Ann"}
    yield "no arguments", "create_entities", {}
    yield "a list of numbers", "open_nodes", {"names": [1]}
    yield "text for names", "open_nodes", {"names": "Ann"}
    yield "a number for a query", "search_nodes", {"query": 5}
    yield "no query", "search_nodes", {}
    yield "no end", "create_relations", {"relations": [{"from": "A", "relationType": "b"}]}
    yield "an argument too many", "read_graph", {"random_string": "x"}
    yield "another argument too many", "open_nodes", {"names": ["Lisbon"], "verbose": True}
    yield "a tool that is not there", "merge_entities", {}


def parameters(file: Path) -> StdioServerParameters:
    """The reference server over a file."""
    made = entry(SERVER, env={**os.environ, "MEMORY_FILE_PATH": str(file)})
    return StdioServerParameters(command=made["command"], args=made["args"], env=made["env"])


async def recorded() -> dict[str, Any]:
    """What the reference server lists and answers."""
    with tempfile.TemporaryDirectory() as folder, anyio.fail_after(SECONDS):
        async with Client(parameters(Path(folder) / "memory.jsonl"), mode="legacy") as client:
            listed = (await client.list_tools()).tools
            tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]
            answers = [await _answer(client, *call) for call in calls()]
            (resource,) = (await client.list_resources()).resources
            read = (await client.read_resource(resource.uri)).contents[0]
            return {
                "server": f"@modelcontextprotocol/{SERVER} {NODE_SERVERS[SERVER]}",
                "tools": tools,
                "resource": resource.model_dump(mode="json", by_alias=True, exclude_none=True),
                "read": read.model_dump(mode="json", by_alias=True, exclude_none=True),
                "calls": answers,
            }


async def _answer(client: Client, name: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    (block,) = result.content
    return {
        "name": name,
        "tool": tool,
        "arguments": arguments,
        "is_error": bool(result.is_error),
        "text": block.text,  # type: ignore[union-attr]  # each answer is one text
        "data": result.structured_content,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """0 when it is recorded, 2 when the server is not installed."""
    parser = argparse.ArgumentParser(description="Record what the reference memory server answers.")
    parser.add_argument("--record", action="store_true", required=True, help=f"write {RECORDING.name}")
    parser.parse_args(argv)
    if why := missing():
        print(why, file=sys.stderr)
        return 2
    found = anyio.run(recorded)
    RECORDING.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(found['calls'])} calls, in {RECORDING.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
