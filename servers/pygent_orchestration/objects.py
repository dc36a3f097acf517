"""The JSON object in an answer of a model, which may say more than that."""

from __future__ import annotations

import json
import re
from typing import Any

_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)


class NoObject(Exception):
    """There is none; `str(error)` says why, fit for who gave the answer."""


def in_answer(answer: Any) -> dict[str, Any]:
    """The object that an answer is, or that its text holds: whole, in a fence, or from its first { on.

    Raises:
        NoObject: there is none.
    """
    if isinstance(answer, dict):
        return answer
    text = str(answer or "")
    start, end = text.find("{"), text.rfind("}") + 1
    why = "there is no { in it"
    for part in (text, *_FENCED.findall(text), text[start:end] if start >= 0 else ""):
        try:
            found = json.loads(part)
        except ValueError as error:
            why = str(error) if start >= 0 else why
            continue
        if isinstance(found, dict):
            return found
        why = f"it is a {type(found).__name__}"
    raise NoObject(f"The answer holds no JSON object: {why}.")
