"""A graph cut into pages that a model can read.

A page is filled with entities, then with relations, in the order they come; it ends before what would take
it over its budget. An entity that is too large for a page of its own goes on at the next. The one rule: all
pages together are the whole graph, each observation and relation once. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pygent_memory.graph.entity import Edge, Node
from pygent_shared.errors import InvalidArgument

BUDGET = 20_000
"""About how many tokens of text a page holds."""

Field = Literal["name", "entityType", "observations", "relations"]
FIELDS: tuple[Field, ...] = ("name", "entityType", "observations", "relations")

_CURSOR = re.compile(r"e(\d{1,18})(?:\.(\d{1,18}))?|r(\d{1,18})")


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where a page ended: after an entity, after an observation within one, or after a relation."""

    entity: int = 0
    observation: int = 0
    relation: int | None = None

    def __str__(self) -> str:
        if self.relation is not None:
            return f"r{self.relation}"
        return f"e{self.entity}" + (f".{self.observation}" if self.observation else "")

    @property
    def nodes_after(self) -> int:
        """The id that the entities of the next page are above."""
        return self.entity - 1 if self.observation else self.entity


def cursor(text: str) -> Cursor:
    """The cursor in a text; the beginning where that is empty.

    Raises:
        InvalidArgument: it is none.
    """
    if not text:
        return Cursor()
    if not (match := _CURSOR.fullmatch(text)):
        cure = "Send nextCursor as the page before gave it, or leave it out to begin."
        raise InvalidArgument("cursor", f"{text[:40]!r} is none", cure)
    entity, observation, relation = match.groups()
    if relation is not None:
        return Cursor(relation=int(relation))
    return Cursor(entity=int(entity), observation=int(observation or 0))


@dataclass(frozen=True, kw_only=True)
class Known:
    """What to show of an entity: some of its `count` observations, by their places."""

    told: Sequence[tuple[int, str]]
    count: int


@dataclass(kw_only=True)
class Page:
    """A part of a graph, as the tools answer it. `next` is where the next one begins; None at the end."""

    entities: list[dict[str, Any]] = field(default_factory=list)
    relations: list[dict[str, str]] = field(default_factory=list)
    next: Cursor | None = None


def paged(
    nodes: Iterable[Node],
    known: Callable[[Node], Known],
    edges: Callable[[int], Iterable[Edge]],
    start: Cursor,
    *,
    budget: float = BUDGET,
    limit: int = 0,
    fields: Sequence[Field] = FIELDS,
) -> Page:
    """The page that begins at `start`.

    Args:
        nodes: the entities from there on.
        known: what to show of one.
        edges: the relations with an id above one.
        limit: the most entities and relations; 0 is no limit.
    """
    page, left, ends = Page(), budget, Cursor()
    if start.relation is None:
        for node in nodes:
            about = known(node)
            told = [one for one in about.told if node.id != start.entity or one[0] > start.observation]
            item = _entity(node, [text for _, text in told], about.count, fields)
            if (cost := tokens(item)) > left or _full(page, limit):
                if page.entities:
                    page.next = ends
                    return page
                fitting = _fitting(told, left - tokens(_entity(node, [], about.count, fields)))
                if len(fitting) < len(told):
                    page.entities.append(_entity(node, [text for _, text in fitting], about.count, fields))
                    page.next = Cursor(entity=node.id, observation=fitting[-1][0])
                    return page
            page.entities.append(item)
            left -= cost
            ends = Cursor(entity=node.id)
    if "relations" not in fields:
        return page
    ends = Cursor(relation=start.relation or 0)
    for edge in edges(start.relation or 0):
        made = relation_item(edge)
        if ((cost := tokens(made)) > left and (page.entities or page.relations)) or _full(page, limit):
            page.next = ends
            return page
        page.relations.append(made)
        left -= cost
        ends = Cursor(relation=edge.id)
    return page


def relation_item(edge: Any) -> dict[str, str]:
    """A relation as the tools answer it."""
    return {"from": edge.source, "to": edge.target, "relationType": edge.type}


def tokens(item: object) -> int:
    """About how many tokens a model reads in an item of an answer, which is indented by four blanks."""
    text = json.dumps(item, indent=2, ensure_ascii=False)
    return -(-len(text.encode()) // 4) + text.count("\n") + 1


def _entity(node: Node, told: list[str], count: int, fields: Sequence[Field]) -> dict[str, Any]:
    item: dict[str, Any] = {"name": node.name}
    if "entityType" in fields:
        item["entityType"] = node.type
    if "observations" in fields:
        item["observations"] = told
        if len(told) != count:
            item["observationCount"] = count
    return item


def _fitting(told: Sequence[tuple[int, str]], left: float) -> list[tuple[int, str]]:
    """The first observations that fit; one at least."""
    fitting: list[tuple[int, str]] = []
    for one in told:
        left -= tokens(one[1]) + 1
        if fitting and left < 0:
            break
        fitting.append(one)
    return fitting


def _full(page: Page, limit: int) -> bool:
    return bool(limit) and len(page.entities) + len(page.relations) >= limit
