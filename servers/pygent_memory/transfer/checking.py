"""A row of our own format, checked before it is put back: whatever another program may have written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pygent_memory.memory import Draft, label, memory_text, moment
from pygent_memory.transfer.own import LINKS
from pygent_shared.errors import InvalidArgument

_TIMES = ("occurred_at", "recorded_at", "forgotten_at", "valid_from", "valid_to", "expires_at", "replaced_at")
_NO_COLUMNS = ("row", "tags", "derived_from", "events", *LINKS)


def checked_memory(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a memory whose values matter to others, in their form.

    Raises:
        InvalidArgument: one is unusable.
    """
    plain = {name: value for name, value in row.items() if name not in _NO_COLUMNS}
    check_scalars(plain)
    for name in ("tags", "derived_from", "events"):
        if not isinstance(row.get(name, []), list):
            raise InvalidArgument(name, "is no list", "Write one: []")
    for tag in row.get("tags", []):
        label(text(tag, "tags"), "tags")
    for event in row.get("events", []):
        if not isinstance(event, dict) or not {"at", "what"} <= event.keys():
            raise InvalidArgument("events", "holds something that is no event", 'Write "at" and "what".')
        check_scalars(event)
    times = {name: moment(text(row.get(name) or "", name), name) or None for name in _TIMES}
    importance = row.get("importance", 0.5)
    if not isinstance(importance, int | float) or not 0 <= importance <= 1:
        raise InvalidArgument("importance", f"is {importance!r}", "Use a number from 0 to 1.")
    told = Draft(
        text=memory_text(text(row.get("text", ""), "text"), "text"),
        kind=row.get("kind", "semantic"),
        speaker=label(text(row.get("speaker", ""), "speaker"), "speaker"),
        occurred_at=times["occurred_at"] or "",
        conversation=text(row.get("conversation", ""), "conversation"),
        valid_from=times["valid_from"] or "",
        valid_to=times["valid_to"] or "",
    )
    return times | {
        "id": label(text(row.get("id", ""), "id"), "id"),
        "text": told.text,
        "kind": label(text(told.kind, "kind"), "kind"),
        "speaker": told.speaker,
        "importance": importance,
        "fingerprint": fingerprint(row) or told.fingerprint(count(row.get("turn", 0), "turn")),
    }


def fingerprint(row: Mapping[str, Any]) -> bytes:
    try:
        return bytes.fromhex(text(row.get("fingerprint", ""), "fingerprint"))
    except ValueError as error:
        raise InvalidArgument("fingerprint", "is not hexadecimal", "Leave it out.") from error


def text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(name, f"is {str(value)[:40]!r}, which is no text", "Put it in quotes.")
    return value


def count(value: object, name: str) -> int:
    if not isinstance(value, int) or value < 0:
        raise InvalidArgument(name, f"is {str(value)[:40]!r}", "Use a whole number from 0 on.")
    return value


def check_scalars(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict | list):
            raise InvalidArgument(name, "holds several values", "Give it one.")
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise InvalidArgument(name, "holds half a character", "Write well-formed Unicode.") from error
