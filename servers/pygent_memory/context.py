"""The start of a session: what an agent should know before anything was asked.

The one rule: it fits a budget of tokens, each thing once. What was pinned comes first; each part may take so
much of what is left, and what it leaves goes to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pygent_memory.fencing import shortened
from pygent_memory.filters import HOLDS, Filter
from pygent_memory.memories import Memories
from pygent_memory.memory import MAX_QUERY, Memory, likeness, unicode_text
from pygent_memory.recall import HEADER_TOKENS, header_tokens, tokens
from pygent_memory.rows import COLUMNS, key_of, memory
from pygent_shared.errors import InvalidArgument

Part = Literal["pinned", "working", "rules", "conversations", "topic", "newest"]

SHARES: dict[Part, float] = {
    "pinned": 0.5,
    "working": 0.3,
    "rules": 0.3,
    "conversations": 0.3,
    "topic": 0.75,
    "newest": 1.0,
}
"""How much of what the parts before left over a part may take, in the order they are served."""

SHOWN: tuple[Part, ...] = ("pinned", "working", "rules", "conversations", "newest", "topic")
"""The order they are shown in."""

FRAME = 60
"""What the headings cost a reader."""

MOST = 20
CONVERSATIONS = 5
EQUAL = 0.9
"""Two texts that share more of their words than this are shown once."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A memory, and as much of its text as is shown."""

    memory: Memory
    text: str


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A conversation: its first and last date, and how many turns it has had."""

    name: str
    first: str
    last: str
    turns: int


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a session starts with; `left_out` counts what there was no room for."""

    parts: dict[Part, tuple[Told, ...]]
    conversations: tuple[Conversation, ...]
    left_out: int


def subject(topic: str) -> str:
    """What a session is about, as it is searched for; "" for nothing in particular.

    Raises:
        InvalidArgument: it is too long, or no Unicode.
    """
    if len(topic) > MAX_QUERY:
        raise InvalidArgument("topic", f"has {len(topic):,} characters", f"Use at most {MAX_QUERY:,}.")
    return unicode_text(topic.strip(), "topic")


class Context:
    """Puts the start of a session together.

    Args:
        memories: the memories themselves.

    Raises (every method): DatabaseUnusable.
    """

    def __init__(self, memories: Memories) -> None:
        self._memories = memories
        self._database = memories.database

    def opening(self, space: str, topic: str, max_tokens: int, now: str) -> Opening:
        """What an agent should know before anything was asked. Nothing is written."""
        budget = _Budget(max_tokens - FRAME)
        parts: dict[Part, tuple[Told, ...]] = {}
        conversations: tuple[Conversation, ...] = ()
        for part in SHARES:
            if part == "conversations":
                conversations = budget.conversations(self._conversations(space))
            else:
                parts[part] = budget.memories(part, self._part(part, space, topic, max_tokens, now))
        return Opening(
            parts={part: parts[part] for part in SHOWN if parts.get(part)},
            conversations=conversations,
            left_out=budget.left_out,
        )

    def _part(self, part: Part, space: str, topic: str, max_tokens: int, now: str) -> list[Told]:
        match part:
            case "pinned":
                return self._having(space, "m.pinned", now)
            case "working":
                return self._having(space, "m.kind = 'working'", now)
            case "rules":
                return self._recalled(space, topic, Filter(kinds=("procedural",)), max_tokens)
            case "topic":
                return self._recalled(space, topic, Filter(), max_tokens)
            case _:
                return self._having(space, "m.conversation IS NULL AND m.kind <> 'working'", now)

    def _having(self, space: str, what: str, now: str) -> list[Told]:
        """The newest that hold now, of some sort."""
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM memory AS m WHERE m.space = ? AND m.forgotten_at IS NULL "
            f"AND m.replaced_at IS NULL AND {HOLDS} AND {what} ORDER BY m.key DESC LIMIT ?",
            (key_of(self._database, space), now, now, MOST),
        )
        return [Told(memory=one, text=shortened(one.text)) for one in map(memory, rows)]

    def _recalled(self, space: str, topic: str, wanted: Filter, max_tokens: int) -> list[Told]:
        if not topic:
            return []
        found = self._memories.search(space, topic, wanted, limit=MOST, max_tokens=max_tokens, wait_s=0)
        return [Told(memory=item.memory, text=item.text) for item in found.results]

    def _conversations(self, space: str) -> list[Conversation]:
        """Those with the newest turns, newest first."""
        turn = "FROM memory WHERE conversation = c.id AND forgotten_at IS NULL ORDER BY turn"
        rows = self._database.query(
            f"SELECT c.name, (SELECT date {turn} LIMIT 1), (SELECT date {turn} DESC LIMIT 1), c.turns, "
            f"(SELECT key {turn} DESC LIMIT 1) AS newest FROM conversation AS c "
            "WHERE c.space = ? AND newest IS NOT NULL ORDER BY newest DESC LIMIT ?",
            (key_of(self._database, space), CONVERSATIONS),
        )
        return [
            Conversation(name=name, first=first, last=last, turns=turns)
            for name, first, last, turns, _ in cast("list[tuple[str, str, str, int, int]]", rows)
        ]


class _Budget:
    """Serves each part its share, and nothing twice."""

    def __init__(self, max_tokens: int) -> None:
        self._left = max_tokens
        self._shown: list[Told] = []
        self.left_out = 0

    def memories(self, part: Part, candidates: Iterable[Told]) -> tuple[Told, ...]:
        served = []
        share = int(self._left * SHARES[part])
        for candidate in candidates:
            if any(_are_equal(candidate, other) for other in self._shown):
                continue
            cost = header_tokens(candidate.memory) + tokens(candidate.text)
            if cost > share:
                self.left_out += 1
                continue
            share, self._left = share - cost, self._left - cost
            self._shown.append(candidate)
            served.append(candidate)
        return tuple(served)

    def conversations(self, candidates: Sequence[Conversation]) -> tuple[Conversation, ...]:
        served = []
        share = int(self._left * SHARES["conversations"])
        for candidate in candidates:
            if (cost := HEADER_TOKENS + tokens(candidate.name)) > share:
                self.left_out += 1
                continue
            share, self._left = share - cost, self._left - cost
            served.append(candidate)
        return tuple(served)


def _are_equal(one: Told, other: Told) -> bool:
    return one.memory.id == other.memory.id or likeness(one.text, other.text) > EQUAL
