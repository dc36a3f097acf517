"""The tags in which a searcher trained for s3 speaks, printed and parsed.

We write `<information>`, documents counted from 1 in each window. It answers with `<important_info>` (which
of that window's documents matter, as `[1, 4]`) and then either with `<query>`, which holds
`{"query": "…"}`, or with `<search_complete>True</search_complete>`, which wins over a query. A window it
answers without `<important_info>` counts as a whole.

Source: the code to Jiang et al., arXiv 2505.14146, which reads its own model's text so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pygent_rag.passage import Passage

_OURS = "information|important_info|search_complete|query|question|think"
_TAG = re.compile(rf"<(?=\s*/?\s*(?:{_OURS})\b)", re.IGNORECASE)
_IDS = re.compile(r"\d{1,6}")
_YES = frozenset({"true", "yes", "1", "y"})


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a searcher wants.

    Attributes:
        important: positions in the last window, from 1; None where it did not say, which means all.
        query: what to search next; "" for nothing.
        complete: whether it has enough.
    """

    important: tuple[int, ...] | None = None
    query: str = ""
    complete: bool = False


def information(passages: Sequence[Passage]) -> str:
    """A window of documents as the searcher reads it. A text cannot open or close a tag."""
    documents = "".join(
        f"Doc {number}(Title: {_plain(' › '.join(passage.context))}) {_plain(passage.text)}\n"
        for number, passage in enumerate(passages, start=1)
    )
    return f"\n\n<information>{documents}</information>\n\n"


def opening(question: str, passages: Sequence[Passage]) -> str:
    """The question and the first window."""
    return f"<question>{_plain(question)}</question>{information(passages)}"


def parse(reply: str) -> Turn:
    """What a searcher wrote. Of a tag written twice the last counts; a cut-off one counts as closed."""
    important, query = _inside(reply, "important_info"), _inside(reply, "query")
    complete = (_inside(reply, "search_complete") or "").strip().lower() in _YES
    return Turn(
        important=None if important is None else tuple(dict.fromkeys(map(int, _IDS.findall(important)))),
        query="" if complete or query is None else _query(query.strip()),
        complete=complete,
    )


def _inside(reply: str, tag: str) -> str | None:
    """The text in the last such tag; None where there is none."""
    thought = re.sub(r"<think>.*?(</think>|$)", "", reply, flags=re.DOTALL)
    found = re.findall(rf"<{tag}>(.*?)(?=</{tag}>|<(?:{_OURS})>|$)", thought, re.DOTALL)
    return found[-1] if found else None


def _query(text: str) -> str:
    """JSON where it is some, the first of several; else the text itself."""
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(loaded, dict):
        loaded = loaded.get("query", "")
    if isinstance(loaded, list):
        loaded = loaded[0] if loaded else ""
    return str(loaded).strip()


def _plain(text: str) -> str:
    return _TAG.sub("‹", text)
