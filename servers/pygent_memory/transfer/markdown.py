"""Memories in Markdown, for people: one section for each kind, conversation and entity, oldest first.

What was replaced is there with its end; what was forgotten is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from pygent_memory.memory import Memory
from pygent_memory.rows import COLUMNS, memory
from pygent_shared.database import Database

_GROUPS = """
    SELECT DISTINCT ifnull(m.conversation, 0), ifnull(m.entity, 0),
        CASE WHEN m.conversation IS NULL AND m.entity IS NULL THEN m.kind ELSE '' END,
        ifnull((SELECT name FROM conversation WHERE id = m.conversation), ''),
        ifnull((SELECT name FROM entity WHERE id = m.entity), '')
    FROM memory AS m JOIN space AS s ON s.id = m.space
    WHERE s.name = ? AND m.forgotten_at IS NULL ORDER BY 1, 2, 3
"""
_RELATIONS = """
    SELECT source, type, target FROM relation JOIN space ON space.id = relation.space
    WHERE space.name = ? AND forgotten_at IS NULL ORDER BY source, type, target
"""
_TITLES = {
    "episodic": "What happened",
    "semantic": "What is so",
    "procedural": "How it is done",
    "working": "For now",
    "summary": "Summaries",
    "observation": "Observations",
}


def sections(database: Database, space: str) -> Iterator[tuple[str, Iterator[str]]]:
    """The title of each section, and its paragraphs."""
    with database.snapshot() as connection:
        for found in connection.execute(_GROUPS, (space,)).fetchall():
            conversation, entity, kind, talk, subject = cast("tuple[int, int, str, str, str]", found)
            if conversation:
                title, order = f"Conversation: {talk}", "m.turn, m.key"
            else:
                title, order = subject or _TITLES.get(kind, kind.capitalize()), "m.date, m.key"
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM memory AS m JOIN space AS s ON s.id = m.space WHERE s.name = ? "
                "AND m.forgotten_at IS NULL AND ifnull(m.conversation, 0) = ? AND ifnull(m.entity, 0) = ? "
                f"AND (? = '' OR m.kind = ?) ORDER BY {order}",
                (space, conversation, entity, kind, kind),
            )
            yield title, (_paragraph(memory(row)) for row in rows)
        if relations := connection.execute(_RELATIONS, (space,)).fetchall():
            yield (
                "Relations",
                iter(["".join(f"- {source} — {type} → {target}\n" for source, type, target in relations)]),
            )


def file_name(title: str, taken: set[str]) -> str:
    """A name for the file of a section, unlike those taken."""
    stem = re.sub(r"[^\w.-]+", "-", title).strip("-.").lower()[:60] or "memories"
    name, number = f"{stem}.md", 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}.md"
    taken.add(name)
    return name


def _paragraph(memory: Memory) -> str:
    told = [
        memory.date,
        memory.speaker,
        " ".join(f"#{tag}" for tag in memory.tags),
        f"from {memory.valid_from}" if memory.valid_from else "",
        f"until {memory.valid_to}" if memory.valid_to else "",
        f"replaced by {memory.replaced_by}" if memory.replaced_by else "",
        f"`{memory.id}`",
    ]
    quoted = "\n".join(f"> {line}".rstrip() for line in memory.text.splitlines())
    return f"**{' · '.join(filter(None, told))}**\n\n{quoted}\n"
