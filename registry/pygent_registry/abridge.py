"""What is shown of a result that is too large: its beginning, its end, and where the whole can be read.

Pure. The one rule: what comes out still has the shape that the tool's output schema asks for.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

# Of the room for texts, what the beginning gets; the end gets the rest.
HEAD_SHARE = 0.7
# How many items of a list that is cut stay at first.
MOST_ITEMS = 1024
SHORTEST_TEXT = 64


def size_of(value: Any) -> int:
    """Bytes of the JSON of a value."""
    try:
        return len(to_json(value))
    except PydanticSerializationError:  # half a surrogate pair, which is no UTF-8
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return len(text.encode("utf-8", "surrogatepass"))


def head_and_tail(text: str, most: int, note: str) -> str:
    """The text in at most `most` bytes of UTF-8 and the note, which stands where something is left out."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= most:
        return text
    head = int(most * HEAD_SHARE)
    tail = most - head
    # A character cut in two is left out.
    first = encoded[:head].decode("utf-8", "ignore")
    last = encoded[len(encoded) - tail :].decode("utf-8", "ignore") if tail else ""
    return f"{first}{note}{last}"


def shortened(value: Any, most: int) -> Any | None:
    """A JSON value of the same shape in at most `most` bytes, texts and lists cut; None if it cannot be."""
    texts, items = max(most // 4, SHORTEST_TEXT), MOST_ITEMS
    while True:
        found = _cut(value, texts, items)
        if size_of(found) <= most:
            return found
        if texts <= SHORTEST_TEXT and items <= 1:
            return None
        texts, items = max(texts // 2, SHORTEST_TEXT), max(items // 2, 1)


def _cut(value: Any, texts: int, items: int) -> Any:
    match value:
        case str():
            return head_and_tail(value, texts, "…")
        case list():
            return [_cut(item, texts, items) for item in value[:items]]
        case dict():
            return {key: _cut(item, texts, items) for key, item in value.items()}
        case _:
            return value


def abridged(result: dict[str, Any], most: int, note: str) -> dict[str, Any]:
    """A tool's result in at most `most` bytes, which must have room for the note.

    Its texts become one, cut in the middle, where the note stands. Other blocks (images, links) stay while
    they fit into a quarter of the room. Structured content takes at most half, and is left out where even its
    shape is larger.
    """
    rest = {key: value for key, value in result.items() if key not in ("content", "structuredContent")}
    if "structuredContent" in result:
        structured = shortened(result["structuredContent"], most // 2)
        rest |= {} if structured is None else {"structuredContent": structured}
    room = most - size_of({"content": [{"type": "text", "text": ""}], **rest})
    blocks = result.get("content") or []
    others, left = [], room // 4
    for block in blocks:
        if "text" not in block and (size := size_of(block) + 2) <= left:
            others.append(block)
            left -= size
    room -= room // 4 - left
    whole = "\n".join(str(block["text"]) for block in blocks if "text" in block)
    return {**rest, "content": [{"type": "text", "text": _noted(whole, room, note)}, *others]}


def _noted(text: str, room: int, note: str) -> str:
    """The text cut to `room` bytes of JSON, which counts a control character six times; with the note."""
    note = f"\n\n[{note}]\n\n"
    if size_of(text + note) - 2 <= room:
        return (text + note).strip("\n")
    most = min(room, len(text.encode("utf-8", "surrogatepass")) - 1)
    while most > 0 and size_of(head_and_tail(text, most, note)) - 2 > room:
        most = most * 4 // 5
    return head_and_tail(text, max(most, 0), note)
