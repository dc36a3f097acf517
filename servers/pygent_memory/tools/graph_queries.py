"""What the reference memory server cannot be asked: what lies around, the way between, a topic's part of the
graph; and deleted entities back. Hosts that draw pages show the answers as a picture."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_memory.graph.answers import (
    DrawingAnswer,
    PathAnswer,
    RestoreAnswer,
    drawing_answer,
    path_answer,
    restore_answer,
)
from pygent_memory.graph.page import PAGE
from pygent_memory.graph.pages import BUDGET
from pygent_memory.graph.serving import Graphs
from pygent_memory.memory import question
from pygent_memory.spaces import Spaces
from pygent_memory.tools.graph import READS, Space
from pygent_shared.server import SuiteServer

MOST_ENTITIES = 100
DRAWN = {"ui": {"resourceUri": PAGE}}


def add_graph_queries(server: SuiteServer[Any], graphs: Graphs, spaces: Spaces) -> None:
    """Add the tools."""

    @server.tool(title="What lies around", annotations=READS, meta=DRAWN)
    def graph_neighbourhood(
        entity: Annotated[str, Field(description="The name of the entity.")],
        depth: Annotated[int, Field(ge=0, le=5, description="How many relations away.")] = 1,
        limit: Annotated[int, Field(ge=1, le=500, description="Most entities, the nearest first.")] = 50,
        space: Space = "",
    ) -> Annotated[CallToolResult, DrawingAnswer]:
        """What lies around an entity of the knowledge graph: the entities at most `depth` relations away,
        whatever their direction, some of what is known about each, and the relations among them.
        """
        found = graphs.get().neighbourhood(spaces.reading(space), entity, depth=depth, limit=limit)
        return drawing_answer(f'around "{" ".join(entity.split())}"', found, BUDGET)

    @server.tool(title="The way between", annotations=READS, meta=DRAWN)
    def graph_path(
        source: Annotated[str, Field(description="The name it begins at.")],
        target: Annotated[str, Field(description="The name it leads to.")],
        max_length: Annotated[int, Field(ge=1, le=20, description="Most relations.")] = 6,
        directed: Annotated[bool, Field(description="Follow relations only from one to the other.")] = False,
        space: Space = "",
    ) -> Annotated[CallToolResult, PathAnswer]:
        """How two entities of the knowledge graph are connected: a shortest way, relation by relation."""
        way = graphs.get().path(spaces.reading(space), source, target, most=max_length, directed=directed)
        return path_answer(source, target, way, max_length)

    @server.tool(title="A topic's graph", annotations=READS, meta=DRAWN)
    def graph_subgraph(
        topic: Annotated[str, Field(description="A question or some words.")],
        max_tokens: Annotated[
            int, Field(ge=100, le=50_000, description="About how long the answer may be.")
        ] = 2000,
        space: Space = "",
    ) -> Annotated[CallToolResult, DrawingAnswer]:
        """The part of the knowledge graph that a topic is about: the entities that answer it best, those
        related to them, and how they are related, within a token budget.
        """
        found = graphs.get().subgraph(spaces.reading(space), question(topic), limit=MOST_ENTITIES)
        return drawing_answer("about that", found, max_tokens)

    @server.tool(
        title="Restore entities",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
    def graph_restore(
        names: Annotated[list[str], Field(description="Names of deleted entities.")],
        ctx: Context[Any],
        space: Space = "",
    ) -> Annotated[CallToolResult, RestoreAnswer]:
        """Undo delete_entities: bring entities back, with the observations and relations that went along."""
        restored = graphs.get().restore(spaces.writing(space), names)
        graphs.tell(ctx, spaces.writing(space))
        return restore_answer(names, restored)
