"""What installing into a host would change, and the change itself.

The one rule: a host's config file is never half written, never overwritten unseen, and never changed without
a copy of what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pygent_registry.files import diff, replace_text
from pygent_registry.hosts.entry import Entry


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One change to one host's config file. Nothing is written before `apply`.

    Args:
        host: the host's name as a person knows it.
        path: its config file.
        before: the file's text; None when there is no file.
        after: the text it gets; None when there is no file and none is to be made.
        entry: what the host starts once this is applied, with variables a person added; None for a removal.
        notes: sentences a person should read, such as that there was nothing to remove.
        reload: how to make the host read its config again.
    """

    host: str
    path: Path
    before: str | None
    after: str | None
    entry: Entry | None
    notes: tuple[str, ...]
    reload: str

    @property
    def changed(self) -> bool:
        return self.after != self.before

    @property
    def diff(self) -> str:
        """The change as a unified diff; empty when there is none."""
        return diff(self.path, self.before, self.after)


def apply(plan: Plan, *, now: datetime | None = None) -> Path | None:
    """Carry out the plan; return the path of the copy of the old file, if one was made.

    Raises:
        FileRefused: the file changed since the plan was made, or cannot be written; it is as it was.
    """
    return replace_text(plan.path, plan.before, plan.after or "", now=now) if plan.changed else None
