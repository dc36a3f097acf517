"""Which memories a search looks at, as a person says it and as SQL.

The one rule: what was replaced, has ended or has expired is in no answer, unless somebody asks for the past.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pygent_memory.memory import Kind, label, moment, tag_set
from pygent_memory.rows import marks
from pygent_shared.errors import InvalidArgument


@dataclass(frozen=True, kw_only=True)
class Filter:
    """An empty field lets all pass.

    `tags` must all be there. `since` and `until` are inclusive, and compare at the precision of the coarser
    side: a memory of a day matches any hour of it. `as_of` asks for what was held true at a time: told by
    then, not yet replaced, and valid then as far as was known; `past` for everything ever told, whatever
    became of it, but for what was forgotten or expired. `conversation` is the name of one; `about` a person
    or thing: who said it, what it is about, or whom it names.
    """

    kinds: tuple[Kind, ...] = ()
    tags: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    as_of: str = ""
    past: bool = False
    conversation: str = ""
    about: str = ""

    @property
    def looks_back(self) -> bool:
        """Whether what no longer holds may be found."""
        return self.past or bool(self.as_of)


def filtered(
    kinds: Sequence[Kind] = (),
    tags: Iterable[str] = (),
    since: str = "",
    until: str = "",
    as_of: str = "",
    past: bool = False,
    conversation: str = "",
    about: str = "",
) -> Filter:
    """A checked filter.

    Raises:
        InvalidArgument: a tag or date is unusable, or the range ends before it begins.
    """
    wanted = Filter(
        kinds=tuple(dict.fromkeys(kinds)),
        tags=tag_set(tags),
        since=moment(since, "since"),
        until=moment(until, "until"),
        as_of=moment(as_of, "as_of"),
        past=past,
        conversation=label(conversation, "conversation"),
        about=label(about, "about"),
    )
    if wanted.since and wanted.until and wanted.since[: len(wanted.until)] > wanted.until:
        raise InvalidArgument("since", f"{wanted.since} is later than until {wanted.until}", "Swap the two.")
    return wanted


def condition(wanted: Filter) -> tuple[str, list[str]]:
    """What a filter asks of the memory `m`, as SQL to be put after a WHERE, and its bindings."""
    parts: list[tuple[str, tuple[str, ...]]] = []
    if wanted.kinds:
        parts.append((f"m.kind IN ({marks(wanted.kinds)})", wanted.kinds))
    for tag in wanted.tags:
        parts.append(("EXISTS (SELECT 1 FROM memory_tag WHERE memory = m.key AND tag = ?)", (tag,)))
    if wanted.since:
        parts.append(("m.date >= substr(?, 1, length(m.date))", (wanted.since,)))
    if wanted.until:
        parts.append(("substr(m.date, 1, length(?)) <= ?", (wanted.until, wanted.until)))
    if wanted.as_of:
        at = end_of(wanted.as_of)
        parts.append(("m.recorded_at <= ? AND ifnull(m.replaced_at > ?, 1)", (at, at)))
        parts.append((f"ifnull(m.valid_from <= ?, 1) AND ifnull({_END_AS_KNOWN} > ?, 1)", (at, at, at)))
    if wanted.conversation:
        parts.append((_IN_CONVERSATION, (wanted.conversation,)))
    if wanted.about:
        parts.append((_ABOUT, (wanted.about,)))
    return "".join(f" AND {sql}" for sql, _ in parts), [value for _, values in parts for value in values]


_IN_CONVERSATION = (
    "m.conversation = (SELECT id FROM conversation AS c WHERE c.space = m.space AND c.name = ?)"
)
_ABOUT = """
    EXISTS (SELECT 1 FROM (SELECT lower(?) AS name) WHERE lower(m.speaker) = name
    OR lower((SELECT e.name FROM entity AS e WHERE e.id = m.entity)) = name OR instr(lower(m.text), name))
"""

UNEXPIRED = "ifnull(m.expires_at > ?, 1)"
"""That the memory `m` has not expired at a time. What has is in no answer, nor in one about the past."""

HOLDS = f"ifnull(m.valid_to > ?, 1) AND {UNEXPIRED}"
"""That the memory `m` has neither ended nor expired at a time, which is bound twice."""

# Until when `m` was true, as was known at a time: what the first later change of it found.
_END_AS_KNOWN = """CASE m.version WHEN 1 THEN m.valid_to ELSE nullif(ifnull((
    SELECT json_extract(before, '$.valid_to') FROM event WHERE memory = m.id AND space = m.space AND at > ?
    AND json_type(before, '$.valid_to') IS NOT NULL ORDER BY id LIMIT 1
), ifnull(m.valid_to, '')), '') END"""


def end_of(moment: str) -> str:
    """The last second of a day; a time itself."""
    return f"{moment}T23:59:59Z" if len(moment) == len("2025-03-01") else moment
