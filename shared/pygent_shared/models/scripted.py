"""A model that says what a file says, for tests and demonstrations. It is never a fallback for another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from pygent_shared.errors import InvalidArgument
from pygent_shared.models.replies import reply


class ScriptedModel(Model):
    """Gives the file's replies one after the other. Made anew for each run: one that is run again after a
    crash hears the same again.

    Args:
        path: a JSON array; each entry a text, or {"text": …, "tool_calls": [{"name": …, "arguments": {…}}]}.

    Raises:
        InvalidArgument: the file cannot be read as that.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._given = 0
        try:
            self._replies: list[Any] = json.loads(path.read_text(encoding="utf-8"))
            assert isinstance(self._replies, list)
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
        if number >= len(self._replies):
            why = f'the script "{self._path}" has {len(self._replies)} replies, and another is asked for'
            raise InvalidArgument("model", why, "Add one to it.")
        return reply(self._replies[number], f"scripted:{self.model_name}")
