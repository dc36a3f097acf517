"""What is said, both ways: an A2A message as a task for an agent, and what a run gives as parts. Pure."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from a2a.helpers import new_data_part, new_raw_part, new_text_part, new_url_part
from a2a.types import Message, Part
from google.protobuf.json_format import MessageToDict

from pygent_a2a import questions

TEXT = "text/plain"
JSON = "application/json"
LENT = "This agent thinks with your language model. Answer as it would:"


def prompt(message: Message) -> str:
    """What a message says, for an agent that reads text."""
    return "\n\n".join(filter(None, map(_read, message.parts)))


def _read(part: Part) -> str:
    match part.WhichOneof("content"):
        case "text":
            return part.text
        case "data":
            return json.dumps(MessageToDict(part.data), ensure_ascii=False)
        case "url":
            return f"{part.filename}: {part.url}" if part.filename else part.url
        case "raw":
            text = part.raw.decode("utf-8", errors="replace")
            return f"{part.filename}:\n{text}" if part.filename else text
        case _:
            return ""


def answered(answer: Any) -> Part:
    """A run's answer as a part."""
    return new_text_part(answer) if isinstance(answer, str) else new_data_part(answer)


def given(what: Mapping[str, Any]) -> Part:
    """What an agent handed over (`user__give`) as a part."""
    media_type, name = str(what.get("media_type", "")), str(what.get("filename") or what["name"])
    if "data" in what:
        return new_data_part(what["data"], media_type=media_type or None)
    if "url" in what:
        return new_url_part(str(what["url"]), media_type=media_type or None, filename=name)
    if "base64" in what:
        try:
            raw = b64decode(str(what["base64"]), validate=True)
        except (binascii.Error, ValueError):
            return new_text_part(str(what["base64"]))
        return new_raw_part(raw, media_type=media_type or None, filename=name)
    return new_text_part(str(what.get("text", "")), media_type=media_type or None)


def asked(found: Mapping[str, Any]) -> list[Part]:
    """What a run waits for: its question to the user, or the messages that a language model is to answer."""
    if elicitation := found.get("elicitation"):
        return questions.parts(elicitation)
    if found["state"] == "needs_input":
        return [new_text_part(found["question"])]
    said = "\n\n".join(f"[{message['role']}]\n{message['text']}" for message in found["messages"])
    text = f"{LENT}\n\n[system]\n{found['system']}\n\n{said}"
    return [new_text_part(text), new_data_part({"system": found["system"], "messages": found["messages"]})]
