"""Files that matter to people: never half written, never overwritten without a copy."""

from __future__ import annotations

import difflib
import os
import shutil
import stat
import tempfile
from datetime import datetime
from itertools import count
from pathlib import Path

from pygent_shared.errors import ConfigInvalid, FileRefused


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


def refuse_foreign(path: Path) -> None:
    """Refuse a file that somebody else may write: what it says is done with this user's rights.

    A group that is the owner's alone, as many systems give every user, counts as the owner. Root may use the
    files of others: a container often does.

    Raises:
        FileRefused: another user may write it, or put another in its place.
    """
    if os.name != "posix":
        return
    try:
        file = path.resolve()
        places = ((path, file.stat()), (path.parent, file.parent.stat()))
    except OSError:
        return  # whoever reads it says what is wrong
    for place, found in places:
        if found.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
            why = "belongs to another user, who could have it start programs as you"
            raise FileRefused(place, why, f'Use a file of your own: cp "{path}" ~/.config/pygent/')
        if who := _writers(found):
            mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
            why = f"may be written by {who} ({mode}), who could have it start programs as you"
            raise FileRefused(place, why, f'Make it yours: chmod go-w "{place}"')


def _writers(found: os.stat_result) -> str:
    """Who else may write a file, or a folder; empty for nobody."""
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:  # in it, only owners replace files
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everyone"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid):
        return "its group"
    return ""


def _is_private(group: int, user: int) -> bool:
    """Whether nobody but the user is in the group."""
    import grp
    import pwd

    try:
        owner = pwd.getpwuid(user)
        members = set(grp.getgrgid(group).gr_mem) - {owner.pw_name}
    except KeyError:
        return False
    others = (entry for entry in pwd.getpwall() if entry.pw_gid == group and entry.pw_uid != user)
    return owner.pw_gid == group and not members and next(others, None) is None


def replace_text(path: Path, before: str | None, after: str, *, now: datetime | None = None) -> Path | None:
    """Replace a person's file by `after`; return the path of the copy of the old one, if there was one.

    The copy is named `<file>.<YYYYmmdd-HHMMSS>.pygent-backup`. A symlink stays one: its target is written.

    Raises:
        FileRefused: the file is no longer `before`, or cannot be written; it is as it was.
    """
    if read_text(path) != before:
        raise FileRefused(path, "was changed by another program meanwhile", "Run this again.")
    try:
        backup = _copy(path, now or datetime.now()) if before is not None else None
        write_whole(path.resolve(), after.encode("utf-8"))
    except OSError as error:
        cure = "Check the permissions of it and of its folder; it is as it was."
        raise FileRefused(path, f"cannot be written: {error.strerror}", cure) from error
    return backup


def diff(path: Path, before: str | None, after: str | None) -> str:
    """The change as a unified diff; empty when there is none.

    One line of context: the neighbours are other servers, and their lines hold other people's keys.
    """
    old, new = (before or "").splitlines(), (after or "").splitlines()
    return "\n".join(difflib.unified_diff(old, new, str(path), str(path), n=1, lineterm=""))


def _copy(path: Path, now: datetime) -> Path:
    """A copy with a name of its own: two changes within one second must not share it."""
    stamp = now.strftime("%Y%m%d-%H%M%S")
    for number in count(1):
        backup = path.with_name(f"{path.name}.{stamp}{f'-{number}' if number > 1 else ''}.pygent-backup")
        if not backup.exists():
            break
    shutil.copy2(path, backup)
    return backup


def write_whole(target: Path, content: bytes) -> None:
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
