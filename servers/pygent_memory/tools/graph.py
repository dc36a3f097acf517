"""The nine tools of the reference memory server: same names, arguments, annotations and answers.

What they take beyond it is optional. Arguments that they do not know are dropped, as it drops them.
"""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field

from pygent_memory.graph.answers import (
    DoneAnswer,
    EntitiesAnswer,
    GraphAnswer,
    ObservationsAnswer,
    RelationsAnswer,
    done_answer,
    entities_answer,
    graph_answer,
    observations_answer,
    relations_answer,
)
from pygent_memory.graph.entity import Entity, Observed, Relation, entity, observation_texts, relation
from pygent_memory.graph.knowledge import Wanted
from pygent_memory.graph.pages import FIELDS, cursor
from pygent_memory.graph.pages import Field as FieldName
from pygent_memory.graph.serving import Graphs
from pygent_memory.memory import moment, unicode_text
from pygent_memory.spaces import Spaces
from pygent_shared.server import SuiteServer

Ctx = Context[Any]

NINE = (
    "create_entities",
    "create_relations",
    "add_observations",
    "delete_entities",
    "delete_observations",
    "delete_relations",
    "read_graph",
    "search_nodes",
    "open_nodes",
)


class EntityArgument(BaseModel):
    name: str
    entityType: str
    observations: list[str]


class RelationArgument(BaseModel):
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    relationType: str = Field(description="In active voice, such as: works at.")


class ToAdd(BaseModel):
    entityName: str
    contents: list[str]


class ToDelete(BaseModel):
    entityName: str
    observations: list[str]


Entities = list[EntityArgument]
Relations = list[RelationArgument]
Space = Annotated[str, Field(description="Memory space; empty: the default.")]
Limit = Annotated[int, Field(ge=0, description="Most entities and relations; 0: as many as fit.")]
Offset = Annotated[int, Field(ge=0, description="Entities to skip first.")]
Fields = Annotated[list[FieldName], Field(description='Only these, such as ["name"].')]
Since = Annotated[str, Field(description="Only what was recorded since this ISO 8601 day or time.")]
CursorArgument = Annotated[str, Field(description="nextCursor of the part before.")]

WRITES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
DELETES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)
READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def add_graph(server: SuiteServer[Any], graphs: Graphs, spaces: Spaces) -> None:
    """Add the nine tools."""
    _add_writing(server, graphs, spaces)
    _add_deleting(server, graphs, spaces)
    _add_reading(server, graphs, spaces)


def _add_writing(server: SuiteServer[Any], graphs: Graphs, spaces: Spaces) -> None:
    @server.tool(title="Create Entities", annotations=WRITES)
    def create_entities(
        entities: Entities, ctx: Ctx, space: Space = ""
    ) -> Annotated[CallToolResult, EntitiesAnswer]:
        """Create multiple new entities in the knowledge graph. Names that exist are left as they are; returns
        the new ones.
        """
        checked = [
            entity(item.name, item.entityType, item.observations, f"entities[{number}].")
            for number, item in enumerate(entities)
        ]
        made: list[Entity] = graphs.get().create_entities(spaces.writing(space), checked)
        graphs.tell(ctx, spaces.writing(space))
        return entities_answer(made)

    @server.tool(title="Create Relations", annotations=WRITES)
    def create_relations(
        relations: Relations, ctx: Ctx, space: Space = ""
    ) -> Annotated[CallToolResult, RelationsAnswer]:
        """Create multiple new relations between entities in the knowledge graph, in active voice. Returns the
        new ones.
        """
        made = graphs.get().create_relations(spaces.writing(space), _relations(relations))
        graphs.tell(ctx, spaces.writing(space))
        return relations_answer(made)

    @server.tool(title="Add Observations", annotations=WRITES)
    def add_observations(
        observations: list[ToAdd], ctx: Ctx, space: Space = ""
    ) -> Annotated[CallToolResult, ObservationsAnswer]:
        """Add new observations to existing entities in the knowledge graph. Returns which were new."""
        told = [
            Observed(
                entity=unicode_text(item.entityName, f"observations[{number}].entityName"),
                texts=observation_texts(item.contents, f"observations[{number}].contents"),
            )
            for number, item in enumerate(observations)
        ]
        added = graphs.get().add_observations(spaces.writing(space), told)
        graphs.tell(ctx, spaces.writing(space))
        return observations_answer(added)


def _add_deleting(server: SuiteServer[Any], graphs: Graphs, spaces: Spaces) -> None:
    @server.tool(title="Delete Entities", annotations=DELETES)
    def delete_entities(
        entityNames: list[str], ctx: Ctx, space: Space = ""
    ) -> Annotated[CallToolResult, DoneAnswer]:
        """Delete multiple entities with their observations and relations from the knowledge graph."""
        graphs.get().delete_entities(spaces.writing(space), entityNames)
        graphs.tell(ctx, spaces.writing(space))
        return done_answer("Entities deleted successfully")

    @server.tool(title="Delete Observations", annotations=DELETES)
    def delete_observations(
        deletions: list[ToDelete], ctx: Ctx, space: Space = ""
    ) -> Annotated[CallToolResult, DoneAnswer]:
        """Delete specific observations, word for word, from entities in the knowledge graph."""
        told = [Observed(entity=item.entityName, texts=tuple(item.observations)) for item in deletions]
        graphs.get().delete_observations(spaces.writing(space), told)
        graphs.tell(ctx, spaces.writing(space))
        return done_answer("Observations deleted successfully")

    @server.tool(title="Delete Relations", annotations=DELETES)
    def delete_relations(
        relations: Relations, ctx: Ctx, space: Space = ""
    ) -> Annotated[CallToolResult, DoneAnswer]:
        """Delete multiple relations from the knowledge graph."""
        graphs.get().delete_relations(spaces.writing(space), _relations(relations))
        graphs.tell(ctx, spaces.writing(space))
        return done_answer("Relations deleted successfully")


def _add_reading(server: SuiteServer[Any], graphs: Graphs, spaces: Spaces) -> None:
    @server.tool(title="Read Graph", annotations=READS)
    def read_graph(
        limit: Limit = 0,
        offset: Offset = 0,
        cursor: CursorArgument = "",
        fields: Fields = [],
        since: Since = "",
        space: Space = "",
    ) -> Annotated[CallToolResult, GraphAnswer]:
        """Read the entire knowledge graph; a large one in parts of about 20,000 tokens. To find something,
        search_nodes costs less.
        """
        wanted = _wanted(cursor, limit, offset, fields, since)
        return graph_answer(graphs.get().read(spaces.reading(space), wanted))

    @server.tool(title="Search Nodes", annotations=READS)
    def search_nodes(
        query: Annotated[str, Field(description="Words from names, types or observations, or a question.")],
        limit: Limit = 0,
        offset: Offset = 0,
        cursor: CursorArgument = "",
        fields: Fields = [],
        since: Since = "",
        space: Space = "",
    ) -> Annotated[CallToolResult, GraphAnswer]:
        """Search for nodes in the knowledge graph: those that hold the query word for word, or else those
        that answer it best, best first; with the relations from and to them. Of an entity with many
        observations only those that fit the query are shown.
        """
        wanted = _wanted(cursor, limit, offset, fields, since)
        found = graphs.get().search(spaces.reading(space), unicode_text(query, "query"), wanted)
        return graph_answer(found)

    @server.tool(title="Open Nodes", annotations=READS)
    def open_nodes(
        names: list[str],
        cursor: CursorArgument = "",
        fields: Fields = [],
        space: Space = "",
    ) -> Annotated[CallToolResult, GraphAnswer]:
        """Open specific nodes in the knowledge graph by their names, with the relations from and to them."""
        wanted = _wanted(cursor, 0, 0, fields, "")
        return graph_answer(graphs.get().open(spaces.reading(space), names, wanted))

    for name in NINE:
        server.tolerate_unknown_arguments(name)


def _relations(items: Relations) -> list[Relation]:
    return [
        relation(item.source, item.target, item.relationType, f"relations[{number}].")
        for number, item in enumerate(items)
    ]


def _wanted(at: str, limit: int, offset: int, fields: list[FieldName], since: str) -> Wanted:
    return Wanted(
        start=cursor(at),
        limit=limit,
        offset=offset,
        fields=tuple(fields) or FIELDS,
        since=moment(since, "since"),
    )
