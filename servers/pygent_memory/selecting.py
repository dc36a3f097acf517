"""Which memories are to be forgotten, as a person says it and as ids.

The one rule: words are matched, all of them; a meaning that lies near is no reason to forget.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from pygent_memory.filters import Filter, condition
from pygent_memory.memory import Kind, label, moment, question, tag_set, unicode_text
from pygent_memory.rows import key_of
from pygent_shared import segments
from pygent_shared.database import Database
from pygent_shared.errors import InvalidArgument
from pygent_shared.fulltext import words

MAX_NAME = 1_000


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A memory must meet all that is given. Make it with `selection`, which checks it.

    `query` are words that stand in its text, in any form of theirs; `about` is the entity it is about, or who
    said it; `since` is inclusive and `before` is not.
    """

    query: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    since: str = ""
    before: str = ""
    conversation: str = ""
    about: str = ""
    everything: bool = False

    def __bool__(self) -> bool:
        return self != Selection()


def selection(
    *,
    query: str = "",
    tags: Iterable[str] = (),
    kinds: Sequence[Kind] = (),
    since: str = "",
    before: str = "",
    conversation: str = "",
    about: str = "",
    everything: bool = False,
) -> Selection:
    """A checked selection; one of nothing is false.

    Raises:
        InvalidArgument: a value cannot be used, or two contradict each other.
    """
    made = Selection(
        query=tuple(dict.fromkeys(words(segments.asked(question(query))))) if query else (),
        tags=tag_set(tags),
        kinds=tuple(dict.fromkeys(kinds)),
        since=moment(since, "since"),
        before=moment(before, "before"),
        conversation=label(conversation, "conversation"),
        about=_name(about),
        everything=everything,
    )
    if query and not made.query:
        raise InvalidArgument("query", "holds no word", "Name words that the memories hold.")
    if made.since and made.before and made.before <= made.since:
        raise InvalidArgument(
            "before", f"{made.before} is not later than since {made.since}", "Swap the two."
        )
    if everything and made != Selection(everything=True):
        raise InvalidArgument("everything", "came together with a filter", "Send one of the two.")
    return made


def selected(database: Database, space: str, wanted: Selection, *, forgotten: bool) -> list[str]:
    """The ids of the memories that a selection means, oldest first.

    Args:
        forgotten: also those that are forgotten already.
    """
    key = key_of(database, space)
    asked, bindings = _condition(wanted)
    found = _with_words(database, key, wanted.query, forgotten=forgotten)
    rows = database.query(
        f"SELECT m.id, m.key FROM memory AS m WHERE m.space = ? {'' if forgotten else _LIVE} {asked} "
        "ORDER BY m.key",
        (key, *bindings),
    )
    return [str(id) for id, number in rows if found is None or number in found]


def kinds(database: Database, space: str, ids: Sequence[str]) -> dict[str, int]:
    """How many there are of each kind, the most first."""
    rows = database.query(
        "SELECT m.kind, count(*) AS count FROM memory AS m JOIN space AS s ON s.id = m.space "
        "WHERE s.name = ? AND +m.id IN (SELECT value FROM json_each(?)) GROUP BY 1 ORDER BY 2 DESC, 1",
        (space, json.dumps(list(ids))),
    )
    return dict(cast("list[tuple[str, int]]", rows))


def token(ids: Sequence[str], *, hard: bool) -> str:
    """What stands for having been shown these memories."""
    shown = "\n".join(["hard" if hard else "soft", *sorted(ids)])
    return hashlib.sha256(shown.encode()).hexdigest()[:8]


def _name(about: str) -> str:
    """The name of a speaker or of an entity, which may be long.

    Raises:
        InvalidArgument: it has more than 1,000 characters, or is no Unicode.
    """
    if len(about) > MAX_NAME:
        raise InvalidArgument("about", f"has {len(about):,} characters", f"Use at most {MAX_NAME:,}.")
    return unicode_text(about, "about").strip()


_LIVE = "AND m.forgotten_at IS NULL"


def _condition(wanted: Selection) -> tuple[str, list[str]]:
    """What a selection asks of the memory `m` besides its words, as SQL and its bindings."""
    shared = Filter(
        kinds=wanted.kinds, tags=wanted.tags, since=wanted.since, conversation=wanted.conversation
    )
    sql, bindings = condition(shared)
    if wanted.before:
        sql += " AND m.date < substr(?, 1, length(m.date))"
        bindings.append(wanted.before)
    if wanted.about:
        entity = "m.entity IN (SELECT id FROM entity WHERE space = m.space AND name = ? COLLATE NOCASE)"
        sql += f" AND (m.speaker = ? COLLATE NOCASE OR {entity})"
        bindings += [wanted.about, wanted.about]
    return sql, bindings


def _with_words(
    database: Database, space: int | None, query: Sequence[str], *, forgotten: bool
) -> set[int] | None:
    """The numbers of the memories that hold all the words; None where none are asked for."""
    if not query:
        return None
    match = " AND ".join(f'"{word}"' for word in query)
    rows = database.query(
        "SELECT DISTINCT p.memory FROM passage_words JOIN passage AS p ON p.id = passage_words.rowid "
        "WHERE passage_words MATCH ? AND p.space = ?",
        (f"text : ({match})", space),
    )
    found = {cast(int, key) for (key,) in rows}
    if forgotten:  # they are in no index
        texts = database.query(
            "SELECT key, speaker || ': ' || text FROM memory WHERE space = ? AND forgotten_at IS NOT NULL",
            (space,),
        )
        found |= {cast(int, key) for key, text in texts if all(word in str(text).lower() for word in query)}
    return found
