"""The tool that shares a space."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field

from pygent_memory.memories import Memories
from pygent_memory.spaces import Spaces
from pygent_memory.tools.arguments import Space
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer, answer


class Shared(BaseModel):
    """Who may do what with a space."""

    space: str
    principal: str
    access: str


class ShareAnswer(BaseModel):
    space: str
    shares: list[Shared] = Field(description="All there are of your spaces, and those shared with you.")

    def text(self) -> str:
        lines = [f'"{item.space}": {item.principal} may {item.access}.' for item in self.shares]
        return "\n".join(lines or ["Nothing is shared."])


def add_sharing(server: SuiteServer[Lazy[Memories]], spaces: Spaces) -> None:
    """Add the tool."""

    @server.tool(
        title="Share a space",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
    def memory_share(
        principal: Annotated[str, Field(description="The name of an API key, or a token's subject.")],
        access: Annotated[
            Literal["read", "write", "none"], Field(description="write includes read; none takes it back.")
        ] = "read",
        space: Space = "",
    ) -> Annotated[CallToolResult, ShareAnswer]:
        """Let another caller of this server use a space of yours, or no longer. Over HTTP every caller has
        spaces of its own; nobody else sees them until they are shared.

        Returns all that is shared. The other names the space OWNER/NAME, as it stands there.
        """
        name = spaces.share(space, principal, None if access == "none" else access)
        shares = [
            Shared(space=item.space, principal=item.principal, access=item.access) for item in spaces.shares()
        ]
        data = ShareAnswer(space=name, shares=shares)
        return answer(data.text(), data)
