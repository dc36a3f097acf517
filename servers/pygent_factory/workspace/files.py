"""Files of a workspace, as a model reads and changes them: inside its folder, of a size that can be read, and
each change such that making it twice is making it once.
"""

from __future__ import annotations

from pathlib import Path

from pygent_shared.errors import FileRefused, InvalidArgument, NotAllowed, UnknownName

MOST_BYTES = 1 << 20
MOST_LINES = 400
MOST_CHARACTERS = 24_000


def inside(root: Path, name: str) -> Path:
    """Where a path of a workspace leads.

    Args:
        root: the workspace's folder, resolved.
        name: relative to it; symbolic links are followed, as far as they stay in it.

    Raises:
        NotAllowed: it leads outside, or to what is git's.
        InvalidArgument: it is no path.
    """
    try:
        found = (root / name).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidArgument("path", f"{name!r} is no path", "Give one of workspace__list.") from error
    if found != root and root not in found.parents:
        raise NotAllowed(f'The path "{name}"', "leads out of the workspace", "Give one of workspace__list.")
    if ".git" in found.relative_to(root).parts:
        raise NotAllowed(f'The path "{name}"', "belongs to git", "Its history is not for you to change.")
    return found


def text(root: Path, name: str, known: list[str]) -> str:
    """A file whole.

    Raises:
        UnknownName, FileRefused: there is no such file, or it is no text, or too big.
        NotAllowed: it is not in the workspace.
    """
    found = inside(root, name)
    if not found.exists():
        raise UnknownName("file", name, known, "See them: workspace__list")
    if not found.is_file():
        raise FileRefused(name, "is no file", "See what there is: workspace__list.")
    if (size := found.stat().st_size) > MOST_BYTES:
        raise FileRefused(name, f"has {size} bytes, over {MOST_BYTES}", "Look in it: workspace__search.")
    try:
        return found.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise FileRefused(name, "is no text", "Only texts in UTF-8 can be read.") from error


def lines(whole: str, name: str, first: int) -> str:
    """Some lines of a text under a line that says which; the text is as it stands in the file."""
    all_lines = whole.splitlines(keepends=True)
    some = all_lines[first - 1 : first - 1 + MOST_LINES]
    shown = "".join(some)
    if len(shown) > MOST_CHARACTERS:
        shown, note = shown[:MOST_CHARACTERS], f", the first {MOST_CHARACTERS} characters of them"
    else:
        note = ""
    return f"[{name}, lines {first}-{first + len(some) - 1} of {len(all_lines)}{note}]\n{shown}"


def write(root: Path, name: str, content: str) -> str:
    """Make a file, or make it anew. Says what was done.

    Raises:
        NotAllowed, FileRefused, InvalidArgument: it is not in the workspace, cannot be written, or too big.
    """
    found, data = inside(root, name), content.encode()
    if len(data) > MOST_BYTES:
        raise InvalidArgument("text", f"has {len(data)} bytes, over {MOST_BYTES}", "Write smaller files.")
    if found.exists() and not found.is_file():
        raise FileRefused(name, "is no file", "Give another path.")
    if found.exists() and found.read_bytes() == data:
        return f"{name} is so already."
    try:
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_bytes(data)
    except OSError as error:
        raise FileRefused(name, f"cannot be written: {error.strerror}", "Give another path.") from error
    return f"Wrote {name}: {len(content.splitlines())} lines."


def edit(root: Path, name: str, old: str, new: str, known: list[str]) -> str:
    """Replace the one place where a text stands in a file. Says what was done.

    Raises:
        InvalidArgument: it stands nowhere, or at several places.
        UnknownName, FileRefused, NotAllowed: as for `text`.
    """
    whole = text(root, name, known)
    if not old:
        raise InvalidArgument("old", "is empty", "Give the text to replace; workspace__write makes a file.")
    if new and new in whole and old not in whole.replace(new, ""):
        return f"The edit is applied to {name} already."
    if (count := whole.count(old)) != 1:
        why = f"stands {count} times in {name}" if count else f"does not stand in {name}"
        cure = "Give more of what surrounds it." if count else "Read the file and copy the text exactly."
        raise InvalidArgument("old", why, cure)
    write(root, name, whole.replace(old, new))
    return f"Edited {name} in line {whole[: whole.index(old)].count(chr(10)) + 1}."
