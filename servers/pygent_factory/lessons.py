"""What an agent learned from its own mistakes: kept in its space of the memory server, for its later runs."""

from __future__ import annotations

from pygent_factory.tools import REMEMBER, PeerTools

ADD = "memory__memory_add"
TAG = "lesson"
MOST = 5
MOST_TASK = 300
ABSENT = "Its lessons are of this run alone: no memory server can be reached with the rights of this run."


class Lessons:
    """Of one agent, as one of its runs has them.

    Args:
        tools: of the run; those of the memory server are used whether or not they are among the agent's own.
    """

    def __init__(self, tools: PeerTools) -> None:
        self._tools = tools
        self.lost = ""
        """Why they are not kept, in a sentence."""

    async def known(self, task: str) -> list[str]:
        """Those of earlier runs that may have to do with a task."""
        if not await self._tools.there(ADD, REMEMBER):
            self.lost = ABSENT
            return []
        asked = {"query": task[:MOST_TASK], "tags": [TAG], "limit": MOST}
        result, text, is_error = await self._tools.own(REMEMBER, asked)
        if is_error:
            self.lost = f"Lessons of earlier runs were not found: {text}"
            return []
        return [str(found["text"]) for found in (result.get("structuredContent") or {}).get("results", [])]

    async def keep(self, task: str, lesson: str) -> None:
        """Keep one that was learned at a task."""
        if self.lost:
            return
        kept = {"text": f"{lesson}\n(Learned at: {task[:MOST_TASK]})", "kind": "procedural", "tags": [TAG]}
        _, text, is_error = await self._tools.own(ADD, kept)
        if is_error:
            self.lost = f"A lesson was not kept: {text}"
