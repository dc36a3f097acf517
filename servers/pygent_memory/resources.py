"""What a host may read without calling a tool."""

from __future__ import annotations

import anyio.to_thread
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from pygent_memory.answers import recent_page
from pygent_memory.memories import Memories
from pygent_memory.spaces import Spaces
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer

RECENT = 20


def add_resources(server: SuiteServer[Lazy[Memories]], memories: Lazy[Memories], spaces: Spaces) -> None:
    """Add the resources, and completion of their arguments."""

    @server.resource("memory://{space}/recent", title="Recent memories", mime_type="text/markdown")
    def recent(space: str) -> str:
        """The 20 memories a space recorded last, newest first."""
        return recent_page(space, memories.get().recent(spaces.reading(space), RECENT))

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # as the SDK has it
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if argument.name != "space":
            return None
        names = await anyio.to_thread.run_sync(spaces.visible)
        begun = [name for name in names if name.casefold().startswith(argument.value.casefold())]
        return Completion(values=begun[:100], total=len(begun), has_more=len(begun) > 100)
