"""The graph as a server has it: opened when it is first needed, with the reference server's file, and with
those who want to hear that it changed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context

from pygent_memory.graph.answers import graph_data, indented
from pygent_memory.graph.knowledge import KnowledgeGraph
from pygent_memory.graph.transfer import ReferenceFile
from pygent_memory.memories import Memories, open_memories
from pygent_memory.memory import space_name
from pygent_memory.spaces import Spaces
from pygent_shared.errors import PygentError
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer
from pygent_shared.settings import Settings
from pygent_shared.subscribers import Subscribers

log = logging.getLogger(__name__)

URI = "memory://knowledge-graph"


def open_with_file(settings: Settings) -> Memories:
    """The memories in `settings.data_dir`, and in them the graph of the reference server's file, if a setting
    names one. That this file cannot be read is logged, and no error: the memories are there.

    Raises:
        DatabaseUnusable: the database cannot be opened.
    """
    memories = open_memories(settings)
    if file := _file(settings, memories):
        try:
            file.read_into(KnowledgeGraph(memories), space_name(settings.space))
        except (PygentError, OSError) as error:
            log.warning("The graph of another server was not imported. %s", error)
    return memories


class Graphs:
    """The graphs of a server's memories."""

    def __init__(self, memories: Lazy[Memories], settings: Settings, spaces: Spaces) -> None:
        self._memories = memories
        self._settings = settings
        self._spaces = spaces
        self._subscribers: Subscribers | None = None

    def get(self) -> KnowledgeGraph:
        """The graphs, opened now if they are not yet."""
        return KnowledgeGraph(
            self._memories.get(),
            whole=self._settings.memory_read_graph == "full",
            changed=self._mirror if self._settings.memory_file_mirror == "on" else lambda space: None,
        )

    def tell(self, ctx: Context[Any], space: str) -> None:
        """Tell whoever wants to hear it that the graph of a space changed. From a worker thread."""
        if space == self._spaces.reading(""):
            assert self._subscribers is not None, "its resource is added before a tool is called"
            self._subscribers.tell(ctx, URI)

    def add_resource(self, server: SuiteServer[Any]) -> None:
        """Add the graph of the default space as a resource that can be subscribed to."""

        @server.resource(URI, name="knowledge-graph", title="Knowledge Graph", mime_type="application/json")
        def knowledge_graph() -> str:
            """The full knowledge graph with all entities and relations."""
            graph = KnowledgeGraph(self._memories.get(), whole=True)
            return indented(graph_data(graph.read(self._spaces.reading(""))))

        self._subscribers = Subscribers(server)

    def _mirror(self, space: str) -> None:
        file = _file(self._settings, memories := self._memories.get())
        if file and space == space_name(self._settings.space):
            try:
                file.mirror(KnowledgeGraph(memories), space)
            except (PygentError, OSError) as error:
                log.warning("The graph is stored, and was not written to %s: %s", file.path, error)


def _file(settings: Settings, memories: Memories) -> ReferenceFile | None:
    if not settings.memory_file:
        return None
    path = Path(settings.memory_file).expanduser().absolute()
    return ReferenceFile(path, memories.database, settings.data_dir)
