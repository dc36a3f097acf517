"""The MCP host's own model. A run asks it by publishing what it needs, and waits for a message with the
reply; whoever serves the host carries both. So a run outlives the connection, and any form of borrowing will
do: sampling, a round of `input_required`, or the host's model answering by a tool call.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from pygent_shared.durable import workflow
from pygent_shared.durable.deadline import Deadline
from pygent_shared.durable.failure import Failed
from pygent_shared.models.replies import prompt, reply

PATIENCE_SECONDS = 7 * 24 * 3600.0
MAX_TOKENS = 4096


def need(number: int) -> str:
    """The key under which a run publishes what it needs the host's model for, from 0 on."""
    return f"need {number}"


def answer(number: int) -> str:
    """The topic on which it waits for the reply."""
    return f"answer {number}"


class HostModel(Model):
    """Works in a durable workflow only; made anew for each.

    Args:
        deadline: of the answers; each is waited for a week at most.
        tell: is called when it has said what it needs.
    """

    def __init__(self, deadline: Deadline, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell
        self._deadline = deadline
        self._asked = 0

    @property
    def model_name(self) -> str:
        return "host"

    @property
    def system(self) -> str:
        return "mcp"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        number, self._asked = self._asked, self._asked + 1
        most = (model_settings or {}).get("max_tokens", MAX_TOKENS)
        wanted = {**prompt(messages, model_request_parameters), "max_tokens": most}
        await workflow.publish(need(number), wanted)
        self._tell()
        left = self._deadline.left()
        said = await workflow.signalled(answer(number), max(0.0, min(PATIENCE_SECONDS, left)))
        if said is None:
            if self._deadline.left() <= 0:
                raise self._deadline.missed()
            raise Failed("TimeoutError", "the host's model did not answer for a week")
        return reply(said["reply"], said.get("model") or "host")
