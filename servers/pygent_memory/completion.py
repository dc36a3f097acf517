"""Completion of the arguments of prompts and resources: names a space knows."""

from __future__ import annotations

from collections.abc import Mapping

import anyio.to_thread
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from pygent_memory.memories import Memories
from pygent_memory.overview import Overview, Sort
from pygent_memory.spaces import Spaces
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer

MOST = 100

SORTS: Mapping[str, tuple[Sort, ...]] = {
    "id": ("conversation",),
    "name": ("entity", "speaker"),
    "topic": ("tag",),
}
"""What an argument may name."""


def add_completion(server: SuiteServer[Lazy[Memories]], memories: Lazy[Memories], spaces: Spaces) -> None:
    """Add completion."""

    def known(argument: str, space: str) -> list[str]:
        if argument == "space":
            return spaces.visible()
        overview, name = Overview(memories.get()), spaces.reading(space)
        return list(dict.fromkeys(n for sort in SORTS.get(argument, ()) for n in overview.names(name, sort)))

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # as the SDK has it
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if argument.name not in (*SORTS, "space"):
            return None
        space = ((context and context.arguments) or {}).get("space", "")
        names = await anyio.to_thread.run_sync(known, argument.name, space)
        begun = [name for name in names if name.casefold().startswith(argument.value.casefold())]
        return Completion(values=begun[:MOST], total=len(begun), has_more=len(begun) > MOST)
