"""What a host may read without calling a tool."""

from __future__ import annotations

from datetime import UTC, datetime

from mcp.server.mcpserver.resources.templates import ResourceSecurity

from pygent_memory.answers import recent_page
from pygent_memory.context import Context
from pygent_memory.context_answers import opening_text
from pygent_memory.memories import Memories
from pygent_memory.memory import utc
from pygent_memory.overview import Overview
from pygent_memory.pages import conversation_page, entity_page, stats_page
from pygent_memory.spaces import Spaces
from pygent_memory.tools.context import OPENING_TOKENS
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer

RECENT = 20

NAMES = ResourceSecurity(exempt_params={"space", "name", "id"})
"""Names are looked up, never opened: one may begin with a slash or hold dots."""


def add_resources(server: SuiteServer[Lazy[Memories]], memories: Lazy[Memories], spaces: Spaces) -> None:
    """Add the resources."""

    @server.resource(
        "memory://{space}/recent", title="Recent memories", mime_type="text/markdown", security=NAMES
    )
    def recent(space: str) -> str:
        """The 20 memories a space recorded last, newest first."""
        return recent_page(space, memories.get().recent(spaces.reading(space), RECENT))

    @server.resource(
        "memory://{space}/context", title="Start of a session", mime_type="text/markdown", security=NAMES
    )
    def context(space: str) -> str:
        """What to know at the start of a session, as memory_context gives it."""
        name = spaces.reading(space)
        opening = Context(memories.get()).opening(name, "", OPENING_TOKENS, utc(datetime.now(UTC)))
        return opening_text(name, opening) + "\n"

    @server.resource(
        "memory://{space}/entity/{name}", title="An entity", mime_type="text/markdown", security=NAMES
    )
    def entity(space: str, name: str) -> str:
        """What is known about an entity of the graph, and how it is related to others."""
        return entity_page(Overview(memories.get()).entity(spaces.reading(space), name))

    @server.resource(
        "memory://{space}/conversation/{id}",
        title="A conversation",
        mime_type="text/markdown",
        security=NAMES,
    )
    def conversation(space: str, id: str) -> str:
        """The last 100 turns of a conversation, in order."""
        return conversation_page(id, Overview(memories.get()).conversation(spaces.reading(space), id))

    @server.resource("memory://{space}/stats", title="Counts", mime_type="text/markdown", security=NAMES)
    def stats(space: str) -> str:
        """How many memories of which kind a space holds, and what else."""
        name = spaces.reading(space)
        return stats_page(name, Overview(memories.get()).stats(name))
