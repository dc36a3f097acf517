"""What a tool asks its user (elicitation), as an A2A agent asks it, and an A2A message as the answer. Pure.

The one rule: yes is only what says so. A message that is no answer is none, and the question stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from a2a.helpers import new_data_part, new_text_part, new_url_part
from a2a.types import Message, Part
from google.protobuf.json_format import MessageToDict

Answer = dict[str, Any]
"""An `ElicitResult`: `action`, and for a form its `content`."""

ACTIONS = ("accept", "decline", "cancel")
YES = ("yes", "y", "ok", "okay", "accept", "accepted", "approve", "approved", "agree", "agreed", "allow")
NO = ("no", "n", "decline", "declined", "reject", "rejected", "deny", "denied", "refuse", "cancel")


def is_elsewhere(asked: Mapping[str, Any]) -> bool:
    """Whether the user is to open an address, and what they do there is not for us to see."""
    return asked.get("mode") == "url"


def parts(asked: Mapping[str, Any]) -> list[Part]:
    """The question, with how it is answered."""
    message = str(asked.get("message", ""))
    if is_elsewhere(asked):
        how = "Open the address, and answer yes when it is done there, or no."
        return [new_text_part(f"{message}\n\n{how}"), new_url_part(str(asked["url"]))]
    schema = asked.get("requestedSchema") or {}
    if not schema.get("properties"):
        return [new_text_part(f"{message}\n\nAnswer yes or no.")]
    how = "Answer with data that fits this schema, or no."
    return [new_text_part(f"{message}\n\n{how}"), new_data_part(schema)]


def answer(message: Message, asked: Mapping[str, Any]) -> Answer | None:
    """What a message answers; None where it answers nothing."""
    fields = {} if is_elsewhere(asked) else (asked.get("requestedSchema") or {}).get("properties") or {}
    texts = [part.text for part in message.parts if part.WhichOneof("content") == "text"]
    for part in message.parts:
        if part.WhichOneof("content") == "data":
            return _of_data(MessageToDict(part.data), fields)
    said = "\n".join(texts).strip()
    word = said.rstrip(".! ").casefold()
    if word in NO:
        return {"action": "decline"}
    if not fields:
        return {"action": "accept"} if word in YES else None
    return _of_text(said, fields)


def _of_data(data: Any, fields: Mapping[str, Any]) -> Answer | None:
    if not isinstance(data, dict):
        return None
    if data.get("action") in ACTIONS and not data.keys() - {"action", "content"} and "action" not in fields:
        content = data.get("content")
        return {
            "action": data["action"],
            **({"content": _whole(content)} if isinstance(content, dict) else {}),
        }
    return {"action": "accept", "content": _whole(data)} if fields else None


def _of_text(said: str, fields: Mapping[str, Any]) -> Answer | None:
    """JSON; or plain words, where one text is asked for."""
    try:
        return _of_data(json.loads(said), fields)
    except ValueError:
        (name, field), *more = fields.items()
        is_text = isinstance(field, dict) and field.get("type") == "string"
        return {"action": "accept", "content": {name: said}} if said and is_text and not more else None


def _whole(data: dict[str, Any]) -> dict[str, Any]:
    """Data with the whole numbers that it had before it was protobuf, which knows none."""
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in data.items()
    }
