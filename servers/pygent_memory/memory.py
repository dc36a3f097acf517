"""A memory: what may be stored, when two are the same, when it happened.

The one rule: a text is kept word for word. Everything else (passages, vectors, ranks) is derived from it and
can be made again.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from pygent_shared.errors import InvalidArgument
from pygent_shared.fulltext import terms

Told = Literal["episodic", "semantic", "procedural", "working"]
"""What happened · what is so · how it is done · what is needed only for the task at hand (CoALA, Sumers et
al. 2024)."""

Kind = Literal[Told, "observation", "summary"]
"""Also: what is known about an entity of the graph · what was made of other memories."""

Trust = Literal["user", "agent", "tool", "import", "derived"]
"""Who vouches for a memory: the person, the agent that works for them, what a tool said, a file that was
imported, or other memories it was made of."""

NEVER = "never"
"""In the place of a date: that a thing does not end."""

MAX_TEXT_BYTES = 64_000
MAX_LABEL = 100
MAX_TAGS = 20
MAX_QUERY = 2_000


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A memory about to be stored. Make it with `draft`, which checks it.

    Times are a UTC day or second in ISO 8601, whichever was told; "" when nothing was: `occurred_at` is when
    it happened, `[valid_from, valid_to)` when it is true, `expires_at` when it is to be taken out; "never"
    keeps it whatever its kind says.
    `importance` runs from 0 to 1. `conversation` names the one this is a turn of, `entity` what an
    observation is about, `source` where it comes from, `derived_from` the ids it was made of, `replaces`
    those that no longer hold because of it.
    """

    text: str
    kind: Kind = "semantic"
    tags: tuple[str, ...] = ()
    occurred_at: str = ""
    speaker: str = ""
    importance: float = 0.5
    conversation: str = ""
    entity: str = ""
    valid_from: str = ""
    valid_to: str = ""
    expires_at: str = ""
    pinned: bool = False
    trust: Trust = "agent"
    source: str = ""
    derived_from: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    def fingerprint(self, turn: int = 0) -> bytes:
        """The same for two memories that say the same: text, kind, speaker, dates and subject. Turns of a
        conversation are never the same: people repeat themselves."""
        told: tuple[object, ...] = (self.kind, self.speaker, self.occurred_at, normalised(self.text))
        if any(more := (self.conversation, turn, self.entity, self.valid_from, self.valid_to)):
            told += more
        return hashlib.sha256(json.dumps(told).encode()).digest()


@dataclass(frozen=True, kw_only=True)
class Memory(Draft):
    """A stored memory. `seen` counts how often it was told; `recorded_at` is when it first was. `turn` is its
    place in its conversation, from 1; `replaced_by` the id of what took its place; `version` counts the
    changes of anything but the text."""

    id: str
    recorded_at: str
    seen: int = 1
    turn: int = 0
    replaced_at: str = ""
    replaced_by: str = ""
    version: int = 1

    @property
    def date(self) -> str:
        """When it happened, or when it was recorded where nobody said."""
        return self.occurred_at or self.recorded_at


def draft(
    text: str,
    *,
    kind: Kind = "semantic",
    tags: Iterable[str] = (),
    occurred_at: str = "",
    speaker: str = "",
    importance: float = 0.5,
    conversation: str = "",
    valid_from: str = "",
    valid_to: str = "",
    expires_at: str = "",
    pinned: bool = False,
    trust: Trust = "agent",
    source: str = "",
    derived_from: Iterable[str] = (),
    replaces: Iterable[str] = (),
    place: str = "",
) -> Draft:
    """A checked draft; `place` says in an error where the values stood, such as "items[3].".

    Raises:
        InvalidArgument: the text is empty or too large, a label too long, a date none, or it ends before it
            begins.
    """
    made = Draft(
        text=memory_text(text, place + "text"),
        kind=kind,
        tags=tag_set(tags, place + "tags"),
        occurred_at=moment(occurred_at, place + "occurred_at"),
        speaker=label(speaker, place + "speaker"),
        importance=importance,
        conversation=label(conversation, place + "conversation"),
        valid_from=moment(valid_from, place + "valid_from"),
        valid_to=moment(valid_to, place + "valid_to"),
        expires_at=NEVER if expires_at == NEVER else moment(expires_at, place + "expires_at"),
        pinned=pinned,
        trust=trust,
        source=unicode_text(source, place + "source"),
        derived_from=tuple(dict.fromkeys(derived_from)),
        replaces=tuple(dict.fromkeys(replaces)),
    )
    if made.valid_from and made.valid_to and made.valid_to <= made.valid_from:
        why = f"{made.valid_to} is not later than valid_from {made.valid_from}"
        raise InvalidArgument(place + "valid_to", why, "Swap the two.")
    return made


def memory_text(text: str, name: str) -> str:
    """The text as it will be kept.

    Raises:
        InvalidArgument: it is empty, larger than 64 kB, or not storable as UTF-8.
    """
    if not text.strip():
        raise InvalidArgument(name, "is empty, so there is nothing to remember", "Say what to remember.")
    size = len(unicode_text(text, name).encode())
    if size > MAX_TEXT_BYTES:
        raise InvalidArgument(
            name,
            f"holds {size:,} bytes, and a memory holds at most {MAX_TEXT_BYTES:,}",
            "Split it into several memories and send them as items.",
        )
    return text


def unicode_text(text: str, name: str) -> str:
    """The text itself.

    Raises:
        InvalidArgument: it holds half a surrogate pair, which no UTF-8 file can store.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        why = f"holds half a character at position {error.start}"
        raise InvalidArgument(name, why, "Send well-formed Unicode text.") from error
    return text


def label(value: str, name: str) -> str:
    """A short one-line value (a speaker, a tag, a space), with its blanks tidied.

    Raises:
        InvalidArgument: it is longer than 100 characters.
    """
    tidy = " ".join(unicodedata.normalize("NFC", unicode_text(value, name)).split())
    if len(tidy) > MAX_LABEL:
        raise InvalidArgument(name, f"has {len(tidy)} characters", f"Use at most {MAX_LABEL}.")
    return tidy


def tag_set(tags: Iterable[str], name: str = "tags") -> tuple[str, ...]:
    """Tags in lower case, each once, in the order given.

    Raises:
        InvalidArgument: a tag is too long, or there are more than 20.
    """
    tidy = tuple(dict.fromkeys(tag for tag in (label(tag, name).casefold() for tag in tags) if tag))
    if len(tidy) > MAX_TAGS:
        raise InvalidArgument(name, f"has {len(tidy)} tags", f"Use at most {MAX_TAGS}.")
    return tidy


def moment(value: str, name: str) -> str:
    """A day ("2025-03-01") as it is, a time in UTC to the second ("2025-03-01T14:30:00Z"), or "".

    A time without an offset is taken as UTC.

    Raises:
        InvalidArgument: it is no ISO 8601 date or time.
    """
    value = value.strip()
    if not value:
        return ""
    try:
        if "T" not in value.upper() and ":" not in value:
            return date.fromisoformat(value).isoformat()
        return utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError) as error:
        cure = "Write a day as 2025-03-01, or a time as 2025-03-01T14:30:00+01:00."
        raise InvalidArgument(name, f"{value[:40]!r} is no ISO 8601 date", cure) from error


def utc(time: datetime) -> str:
    """The time in UTC, to the second: 2025-03-01T14:30:00Z."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def question(query: str) -> str:
    """A search query.

    Raises:
        InvalidArgument: it is empty, too long or no Unicode.
    """
    if not query.strip():
        raise InvalidArgument("query", "is empty", "Ask for something, such as: where does Ann live?")
    if len(query) > MAX_QUERY:
        raise InvalidArgument("query", f"has {len(query):,} characters", f"Use at most {MAX_QUERY:,}.")
    return unicode_text(query, "query")


def space_name(space: str) -> str:
    """The name of a space.

    Raises:
        InvalidArgument: it is empty or too long.
    """
    if not (tidy := label(space, "space")):
        raise InvalidArgument("space", "is empty", "Name one, or leave it out to use the default space.")
    return tidy


_INNER_BLANKS = re.compile(r"(?<=\S)[^\S\n]+")


def normalised(text: str) -> str:
    """The text as it is compared: Unicode NFC, one blank between words, none at line ends.

    Indentation and case stay: they can carry meaning.
    """
    lines = unicodedata.normalize("NFC", text).strip().splitlines()
    return "\n".join(_INNER_BLANKS.sub(" ", line.rstrip()) for line in lines)


def word_pairs(text: str, limit: int = 3) -> list[tuple[str, ...]]:
    """The longest different words of a text, two by two: a text that holds no such pair is hardly alike.

    Pairs, because what two words share is found fast however many texts hold one of them; several, because
    one word may have changed.
    """
    words = sorted(dict.fromkeys(terms(text)), key=lambda word: -len(word))[: 2 * limit]
    return [tuple(words[place : place + 2]) for place in range(0, len(words), 2)]


def likeness(one: str, other: str) -> float:
    """The share of words two texts have in common (Jaccard), 0 to 1. Blind to what the words mean."""
    return likenesses(one, [other])[0]


def likenesses(one: str, others: Iterable[str]) -> list[float]:
    """The same of a text with each of others."""
    mine = set(terms(one))
    return [
        len(mine & yours) / len(mine | yours) if mine | yours else 0.0
        for yours in (set(terms(other)) for other in others)
    ]
