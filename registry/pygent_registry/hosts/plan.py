"""What installing into a host would change, and the change itself.

The one rule: a host's config file is never half written, never overwritten unseen, and never changed without
a copy of what it was.
"""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from pygent_registry.hosts.entry import Entry
from pygent_shared.errors import ConfigInvalid, FileRefused


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
        """The change as a unified diff; empty when there is none.

        One line of context: the neighbours are other servers, and their lines hold other people's keys.
        """
        before, after = (self.before or "").splitlines(), (self.after or "").splitlines()
        lines = difflib.unified_diff(before, after, str(self.path), str(self.path), n=1, lineterm="")
        return "\n".join(lines)


def read_text(path: Path) -> str | None:
    """The file's text with its newlines and byte order mark as they are; None when there is no file.

    Raises:
        FileRefused: the file cannot be read.
        ConfigInvalid: it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileRefused(
            path, f"cannot be read: {error.strerror}", "Check its permissions and its folder's."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(path, "is not UTF-8 text", "Save it as UTF-8, then run this again.") from error


def apply(plan: Plan, *, now: datetime | None = None) -> Path | None:
    """Carry out the plan; return the path of the copy of the old file, if one was made.

    The copy is named `<file>.<YYYYmmdd-HHMMSS>.pygent-backup`. A symlink stays one: its target is written.

    Raises:
        FileRefused: the file changed since the plan was made, or cannot be written; it is as it was.
    """
    if not plan.changed:
        return None
    if read_text(plan.path) != plan.before:
        raise FileRefused(plan.path, "was changed by another program meanwhile", "Run this again.")
    try:
        backup = _copy(plan.path, now or datetime.now()) if plan.before is not None else None
        _write(plan.path.resolve(), (plan.after or "").encode("utf-8"))
    except OSError as error:
        cure = "Check the permissions of it and of its folder; it is as it was."
        raise FileRefused(plan.path, f"cannot be written: {error.strerror}", cure) from error
    return backup


def _copy(path: Path, now: datetime) -> Path:
    """A copy with a name of its own: two changes within one second must not share it."""
    stamp = now.strftime("%Y%m%d-%H%M%S")
    for number in count(1):
        backup = path.with_name(f"{path.name}.{stamp}{f'-{number}' if number > 1 else ''}.pygent-backup")
        if not backup.exists():
            break
    shutil.copy2(path, backup)
    return backup


def _write(target: Path, content: bytes) -> None:
    """Replace the file in one step, keeping its mode; a new one is its owner's alone, as it may hold keys."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".pygent-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, name)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
