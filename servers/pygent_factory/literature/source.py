"""What a source of papers does, and how its answers are read without trust."""

from __future__ import annotations

import html
import json
import re
from typing import Any, Protocol

from pygent_factory.literature.access import Access
from pygent_factory.literature.paper import Paper
from pygent_factory.literature.polite import Polite, SourceFailed


class Source(Protocol):
    """A list of papers that somebody keeps.

    Attributes:
        name: for people.
        pause: seconds it wants between two requests.
    """

    name: str
    pause: float

    def __init__(self, door: Polite, access: Access) -> None: ...

    async def search(self, query: str, limit: int) -> list[Paper]:
        """Its best papers for some words. Raises SourceFailed: it gave no usable answer."""

    async def paper(self, arxiv: str, doi: str) -> Paper | None:
        """The paper of an arXiv number, or else of a DOI; None where it has none. Raises as `search` does."""


def read_object(source: str, body: bytes) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        SourceFailed: it is none.
    """
    try:
        data = json.loads(body)
    except ValueError as error:
        raise SourceFailed(source, "answered with something that is no JSON") from error
    if not isinstance(data, dict):
        raise SourceFailed(source, "answered with JSON of another shape than its documents say")
    return data


def items(source: str, data: Any) -> list[dict[str, Any]]:
    """A list of objects.

    Raises:
        SourceFailed: it is none.
    """
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise SourceFailed(source, "answered with JSON of another shape than its documents say")
    return data


def text(value: Any) -> str:
    """A text in one line, without marks of XML; "" for what is none."""
    if not isinstance(value, str):
        return ""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", value)).split())


def number(value: Any) -> int | None:
    """A whole number; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def inner(value: Any, *path: str | int) -> Any:
    """What stands at a path of keys and places; None where the path ends earlier."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def names(value: Any, *path: str) -> tuple[str, ...]:
    """A text of each item of a list."""
    found = [text(inner(item, *path)) for item in value] if isinstance(value, list) else []
    return tuple(filter(None, found))
