"""What a person may ask for by name: how to begin and end a session, recall, consolidate, forget somebody.

The one rule: short. A prompt brings what is remembered, quoted as data, and says what to do in a few lines.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import anyio.to_thread
from pydantic import Field

from pygent_memory.answers import SearchAnswer
from pygent_memory.consolidation.answers import page_text
from pygent_memory.consolidation.consolidation import Consolidation
from pygent_memory.consolidation.names import alike
from pygent_memory.context import Context, subject
from pygent_memory.context_answers import opening_text
from pygent_memory.fencing import one_line
from pygent_memory.filters import Filter
from pygent_memory.memories import Memories
from pygent_memory.memory import label, utc
from pygent_memory.overview import Overview
from pygent_memory.spaces import Spaces
from pygent_memory.tools.context import OPENING_TOKENS
from pygent_shared.errors import InvalidArgument
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer

WORKLIST = "memory_worklist"

RECALLED = 20
RECALLED_TOKENS = 2000

SpaceArgument = Annotated[str, Field(description="A separate memory. Empty: the default one.")]

START = """\
Work from this: what was decided and preferred holds until the person says otherwise. Search (memory_search) \
before you answer about people, projects or decisions it does not show; name the date of what you rely on. \
Begin with one sentence on where things stand, then do what the person asks."""

END = """\
This session ends; today is {today}. Keep what a later one will need, in one memory_add with items{space}:
- decisions with their reasons, preferences, facts about people and projects, corrections by the person \
(semantic); how something is done here (procedural); what happened, with occurred_at (episodic); what is \
still open (working).
- Each understood alone, one thought each: names for "he" and "it", dates for "yesterday", who said it as \
speaker.
- Not: what the files and their history say anyway, small talk, guesses, passwords and keys.
Look first (memory_search): what is known need not be told again; what has changed names the old memory's \
id in replaces. Then tell the person in one line each what you kept. To keep nothing is a good answer."""

RECALL = """\
Tell what is remembered about "{topic}", with dates; where two disagree, the newest first. Name the ids of \
what you rely on, and say plainly what it does not answer. Of a part of a text memory_get gives the whole."""

FORGET = """\
Everything about {name} is to be forgotten{space}. Step by step, and nothing before the person has agreed:
1. Find it all. For each of {names}: memory_search(limit=100), and memory_forget(query=…) and \
memory_forget(about=…), which only show what they would take. Then search for what describes the person \
without a name: a role, an address, an e-mail. Go on until nothing new comes.
2. Show the person the list, with dates, and ask: is it complete? Is what only mentions the name to go too? \
Is it to be undoable, or gone for good (hard=true)?
3. Forget what was agreed: memory_forget with the ids, or with the confirm that step 1 answered{entity}.
4. Search again for every name, and say what was done and what is left."""


def add_prompts(server: SuiteServer[Lazy[Memories]], memories: Lazy[Memories], spaces: Spaces) -> None:
    """Add the prompts."""

    @server.prompt(title="Start a session")
    def session_start(
        topic: Annotated[str, Field(description="What the session is about.")] = "", space: SpaceArgument = ""
    ) -> str:
        """Brings what is remembered into a new session."""
        name = spaces.reading(space)
        about, now = subject(topic), utc(datetime.now(UTC))
        opening = Context(memories.get()).opening(name, about, OPENING_TOKENS, now)
        return f"{opening_text(name, opening)}\n\n{START}"

    @server.prompt(title="End a session")
    def session_end(space: SpaceArgument = "") -> str:
        """Has the agent keep what a later session will need."""
        spaces.writing(space)
        return END.format(today=datetime.now(UTC).date().isoformat(), space=_in(space))

    @server.prompt(title="Recall a topic")
    def recall_topic(
        topic: Annotated[str, Field(description="A person, a project, a question.")],
        space: SpaceArgument = "",
    ) -> str:
        """Brings what is remembered about a topic."""
        name = spaces.reading(space)
        if not (about := subject(topic)):
            raise InvalidArgument("topic", "is empty", "Say what to recall.")
        found = memories.get().search(
            name, about, Filter(), limit=RECALLED, max_tokens=RECALLED_TOKENS, wait_s=0
        )
        return f"{SearchAnswer.of(name, found).text()}\n\n{RECALL.format(topic=one_line(about))}"

    @server.prompt(title="Consolidate")
    async def consolidate(space: SpaceArgument = "") -> str:
        """Hands out what is to be judged: memories that are alike, conversations nobody took facts from."""
        name = spaces.writing(space)
        page = await anyio.to_thread.run_sync(lambda: Consolidation(memories.get()).page(name))
        has_tool = any(tool.name == WORKLIST for tool in await server.list_tools())
        return page_text(name, page, has_tool=has_tool)

    @server.prompt(title="Forget a person")
    def forget_person(
        name: Annotated[str, Field(description="The person's name.")], space: SpaceArgument = ""
    ) -> str:
        """Guides the agent to all that is remembered about a person, to be forgotten once the user agrees."""
        if not (person := one_line(label(name, "name"))):
            raise InvalidArgument("name", "is empty", "Say whom to forget.")
        overview, within = Overview(memories.get()), spaces.writing(space)
        entities = overview.names(within, "entity")
        known = dict.fromkeys([*entities, *overview.names(within, "speaker")])
        others = [
            other for pair in alike([person, *(known.keys() - {person})]) if person in pair for other in pair
        ]
        names = list(dict.fromkeys([person, *sorted(set(others))]))
        met = [f'"{one_line(name)}"' for name in names if name in entities]
        entity = f", and delete_entities(entityNames=[{', '.join(met)}])" if met else ""
        return FORGET.format(
            name=f'"{person}"',
            names=", ".join(f'"{one_line(name)}"' for name in names),
            entity=entity,
            space=_in(space),
        )


def _in(space: str) -> str:
    return f' of space "{one_line(space)}"' if space else ""
