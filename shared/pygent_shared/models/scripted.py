"""A model that says what a file says, for tests and demonstrations. It is never a fallback for another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from pygent_shared.errors import InvalidArgument
from pygent_shared.models.replies import reply


class ScriptedModel(Model):
    """Gives the file's replies one after the other. Made anew for each run: one that is run again after a
    crash hears the same again.

    Args:
        path: a JSON array; each entry a text, or {"text": …, "tool_calls": [{"name": …, "arguments": {…}}]}.
            Or an object of such arrays: the first one counts whose key stands in the task.

    Raises:
        InvalidArgument: the file cannot be read as that.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._given = 0
        try:
            script: Any = json.loads(path.read_text(encoding="utf-8"))
            self._scripts: dict[str, list[Any]] = script if isinstance(script, dict) else {"": script}
            assert all(isinstance(replies, list) for replies in self._scripts.values())
        except (OSError, ValueError, AssertionError) as error:
            why = f'the script "{path}" cannot be read ({error or "no array"})'
            raise InvalidArgument("model", why, "Give the path of a JSON array of replies.") from error

    @property
    def model_name(self) -> str:
        return self._path.stem

    @property
    def system(self) -> str:
        return "scripted"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        number, self._given = self._given, self._given + 1
        task = _task(messages)
        replies = next((said for key, said in self._scripts.items() if key in task), [])
        if number >= len(replies):
            why = f'the script "{self._path}" has {len(replies)} replies, and another is asked for'
            raise InvalidArgument("model", why, "Add one to it.")
        return reply(replies[number], f"scripted:{self.model_name}")


def _task(messages: list[ModelMessage]) -> str:
    """What the user said last."""
    parts = (part for message in reversed(messages) for part in reversed(message.parts))
    return next((str(part.content) for part in parts if isinstance(part, UserPromptPart)), "")
