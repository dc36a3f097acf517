"""Which documents a search looks at: by path, by type, by time. Pure; the store hands it what it knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePath

from pygent_shared.errors import InvalidArgument

_WILD = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a document must be for its chunks to be searched; what is empty asks nothing.

    Attributes:
        path: a pattern: `*` is anything within a folder, `**` over folders. One that does not begin at the
            root may begin at any folder.
        types: suffixes of files, such as ".pdf".
        since: the first moment its file was last written at, or it was read in where that is not known.
        until: the first moment after.
    """

    path: str = ""
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.path or self.types or self.since or self.until)

    def takes(self, path: str, written: datetime) -> bool:
        """Whether a document at this path, written then, is wanted."""
        spelled = path.replace("\\", "/")
        return (
            (not self.path or bool(re.fullmatch(_regex(self.path), spelled)))
            and (not self.types or PurePath(spelled).suffix.lower() in self.types)
            and (self.since is None or written >= self.since)
            and (self.until is None or written < self.until)
        )


def filters(path: str = "", type: str = "", since: str = "", until: str = "") -> Filters:
    """What a caller asks for: types separated by commas, dates as YYYY-MM-DD, `until` included.

    Raises:
        InvalidArgument: a date is none.
    """
    names = (name.strip().lower().lstrip("*").lstrip(".") for name in type.split(","))
    last = _day("until", until)
    return Filters(
        path=path.strip(),
        types=tuple(f".{name}" for name in names if name),
        since=_day("since", since),
        until=last + timedelta(days=1) if last else None,
    )


def _day(argument: str, value: str) -> datetime | None:
    if not value.strip():
        return None
    try:
        found = date.fromisoformat(value.strip())
    except ValueError:
        raise InvalidArgument(
            argument, f"{value[:40]!r} is no date", "Write it as YYYY-MM-DD, such as 2025-03-31."
        ) from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def _regex(pattern: str) -> str:
    anchored = pattern.startswith("/") or "://" in pattern or re.match(r"[A-Za-z]:[\\/]", pattern)
    parts = (_MEANS.get(part, re.escape(part)) for part in _WILD.findall(pattern.replace("\\", "/")))
    return ("" if anchored else "(?:.*/)?") + "".join(parts)
