"""mem0's dumps: what `get_all` returns, as JSON; a cut-off one is read as far as it goes.

A memory's text, date, categories and speaker are taken over. Whose it was (`user_id`, `agent_id`, `run_id`)
becomes a tag, and its id stands in `source`. Scores and hashes are mem0's own; of `metadata`, which can hold
anything, the fields are counted as left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pygent_memory.memory import draft
from pygent_memory.transfer.found import Damaged, Format, Found, LeftOut, Relation, texts
from pygent_shared.errors import InvalidArgument

_OWNERS = ("user_id", "agent_id", "app_id", "run_id")
_TAKEN = frozenset(
    {"id", "memory", "text", "data", "created_at", "updated_at", "categories", "actor_id", "role", "hash"}
    | {"score", "metadata", "expiration_date", *_OWNERS}
)
_LIST = re.compile(r'\A\s*\[|"(?:results|memories)"\s*:\s*\[')
_RELATIONS = re.compile(r'"relations"\s*:\s*\[')


def fits(path: Path, head: str) -> bool:
    """Whether the beginning of a file looks like a dump."""
    return (
        path.is_file()
        and head.lstrip()[:1] in ("[", "{")
        and bool(re.search(r'"(memory|results)"\s*:', head))
    )


def read(path: Path) -> Iterator[Found]:
    """What a dump holds."""
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    start = _LIST.search(text)
    for place, raw, item in _objects(text, start.end() if start else 0):
        yield from _memory(place, raw, item)
    if relations := _RELATIONS.search(text):
        for place, raw, item in _objects(text, relations.end()):
            yield _relation(place, raw, item)


def _objects(text: str, start: int) -> Iterator[tuple[str, str, Any]]:
    """The JSON values of a list, or of JSON lines, from a position on: where each stands, how, and itself; a
    last one of None for what cannot be read."""
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    while True:
        while start < len(text) and text[start] in " \t\r\n,":
            start += 1
        line += text.count("\n", counted, start)
        counted = start
        if start >= len(text) or text[start] == "]":
            return
        try:
            item, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            yield f"line {line}", text[start:], None
            return
        yield f"line {line}", text[start:end], item
        start = end


def _memory(place: str, raw: str, item: Any) -> Iterator[Found]:
    if not isinstance(item, dict):
        yield Damaged(place=place, why="It is no memory, and what follows cannot be told apart.", text=raw)
        return
    try:
        yield draft(
            texts(item, "memory", "text", "data"),
            occurred_at=texts(item, "created_at"),
            expires_at=texts(item, "expiration_date"),
            speaker=texts(item, "actor_id", "role"),
            tags=[*_categories(item), *(f"{name}:{item[name]}" for name in _OWNERS if item.get(name))],
            trust="import",
            source=f"mem0:{item['id']}" if item.get("id") else "mem0",
        )
    except InvalidArgument as error:
        yield Damaged(place=place, why=str(error), text=raw)
        return
    metadata = item.get("metadata")
    yield from (
        LeftOut(field=f"metadata.{name}") for name in (metadata if isinstance(metadata, dict) else ())
    )
    yield from (
        LeftOut(field=name) for name, value in item.items() if name not in _TAKEN and value is not None
    )


def _categories(item: Mapping[str, Any]) -> list[str]:
    found = item.get("categories")
    return [str(category) for category in found] if isinstance(found, list) else []


def _relation(place: str, raw: str, item: Any) -> Found:
    if isinstance(item, dict):
        source, target = texts(item, "source"), texts(item, "target", "destination")
        if source and target:
            return Relation(
                source=source, type=texts(item, "relationship", "relation") or "relates to", target=target
            )
    return Damaged(place=place, why="It is no relation: it needs a source and a target.", text=raw)


FORMAT = Format(name="mem0", title="what get_all returns, as JSON", fits=fits, read=read)
