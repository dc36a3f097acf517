"""Remembered text as it is printed: a quotation, of what can be seen.

The one rule: nothing that somebody once said can pass for the server's own words. Every line of it begins
with "> ", a name stands on one line, and characters nobody sees are left out. What is stored stays as told.
"""

from __future__ import annotations

from pygent_shared.unseen import stripped


def quoted(text: str) -> str:
    """A text, line by line."""
    return "\n".join(f"> {line}" for line in stripped(text)[0].splitlines())


def one_line(name: str) -> str:
    """A name or label (a speaker, a tag, a conversation) within a line."""
    return " ".join(stripped(name)[0].split())


def shortened(text: str, limit: int = 400) -> str:
    """The beginning of a text."""
    return text if len(text) <= limit else text[:limit].rstrip() + " …"
