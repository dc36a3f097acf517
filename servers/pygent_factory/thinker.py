"""An agent in one run: its model, tools and budget, as its strategy uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import jsonschema
from pydantic import ValidationError
from pydantic_ai import Agent, ModelRetry, UsageLimits
from pydantic_ai.exceptions import ToolRetryError, UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.output import StructuredDict
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage

from pygent_factory.citing import mend, unsupported
from pygent_factory.lessons import Lessons
from pygent_factory.means import Means
from pygent_factory.spec import Spec
from pygent_factory.tools import PeerTools, Tell
from pygent_shared.errors import ModelFailed
from pygent_shared.models.chain import MOST_WHY

RETRIES = 2
"""Of an answer, or of a tool's arguments, that the model got wrong."""
USELESS = "Try another model, say in the instructions what is wanted, or let it answer in plain text."
UNLIMITED = UsageLimits(request_limit=None)
"""What may be spent is looked at in one place, and that is the meter."""

Solve: TypeAlias = "Callable[[Thinker, str], Awaitable[object]]"


class Thinker:
    """What a strategy may do. All that is said is kept, and spends one budget.

    Args:
        spec: the agent's version.
        means: its model, each of whose answers is a step of the run, and what it may spend.
        tools: each call a step.
        history: what was said before in this conversation.
        tell: is told of each call of the model.
    """

    def __init__(
        self, spec: Spec, means: Means, tools: PeerTools, history: list[ModelMessage], tell: Tell
    ) -> None:
        self._spec = spec
        self._means = means
        self._model = Metered(means, tell)
        self._tools = tools
        self._history = history
        self._usage = RunUsage()
        self._messages: list[ModelMessage] = []
        self._latest: list[ModelMessage] = []
        self._notes: dict[str, Any] = {}
        self._worked: list[ModelMessage] = history
        self._unsupported: list[str] = []
        self.lessons = Lessons(tools)

    @asynccontextmanager
    async def thinking(self) -> AsyncIterator[None]:
        """Have a model inside; what it keeps open to its provider is closed.

        Raises:
            ModelFailed: what it says is of no use.
        """
        model = self._means.model
        try:
            async with model:
                yield
        except UnexpectedModelBehavior as error:
            raise ModelFailed(model.current, f"says nothing of any use: {_wrong(error)}", USELESS) from error

    async def work(self, task: str) -> object:
        """Do a task, with the tools; the answer is of the agent's output schema, or a text."""
        answer = await self._run(self._worker(), task, self._history)
        self._worked = [*self._history, *self._latest]
        return answer

    async def supported(self, answer: object) -> object:
        """An answer whose sources were looked at, where this agent's are: it is mended once if some of them
        are in no result of this run, and what is still so then stands in the trace."""
        if not self._spec.cites:
            return answer
        if wrong := unsupported(answer, self._tools.results):
            answer = await self._run(self._worker(), mend(answer, wrong), self._worked)
            self._unsupported = unsupported(answer, self._tools.results)
        return answer

    async def say(self, prompt: str) -> str:
        """A text in answer to a prompt, without tools and without what was said before."""
        return str(await self._run(Agent(self._model, instructions=self._spec.instructions), prompt, []))

    def note(self, name: str, value: Any) -> None:
        """Keep something of how the answer was found, for whoever reads the run."""
        self._notes[name] = value

    def trace(self) -> dict[str, Any]:
        """All that was said and done, for JSON."""
        spent = self._means.meter.spent
        return {
            "messages": ModelMessagesTypeAdapter.dump_python(self._messages, mode="json"),
            "tools": self._tools.called,
            "notes": self._notes,
            "unsupported": self._unsupported,
            "usage": {
                "requests": spent.requests,
                "input_tokens": spent.input_tokens,
                "output_tokens": spent.output_tokens,
                "tool_calls": self._usage.tool_calls,
            },
            "usd": spent.usd,
            "model": self._means.told(),
        }

    def _worker(self) -> Agent[None, Any]:
        schema = self._spec.output
        output: Any = StructuredDict(schema, name="answer") if schema else str
        worker: Agent[None, Any] = Agent(
            self._model,
            output_type=output,
            instructions=self._spec.instructions,
            toolsets=[self._tools],
            retries=RETRIES,
        )
        if schema:
            worker.output_validator(lambda answer: _valid(answer, schema))
        return worker

    async def _run(self, agent: Agent[Any, Any], prompt: str, history: list[ModelMessage]) -> object:
        result = await agent.run(prompt, message_history=history, usage=self._usage, usage_limits=UNLIMITED)
        self._latest = result.new_messages()
        self._messages += self._latest
        output: object = result.output
        return output


class Metered(WrapperModel):
    """A run's model, whose calls are told, and are none when there is nothing left to spend."""

    def __init__(self, means: Means, tell: Tell) -> None:
        super().__init__(means.model)
        self._means = means
        self._tell = tell

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        meter = self._means.meter
        meter.check()
        await self._means.deadline.met()
        self._tell(f"model call {meter.spent.requests + 1}")
        said = await super().request(messages, model_settings, model_request_parameters)
        meter.add(self._means.model.current, said.usage)
        return said


def _wrong(error: UnexpectedModelBehavior) -> str:
    """What is wrong with what a model said last, as a clause."""
    told: Any = error.__cause__ or error
    if isinstance(told, ToolRetryError):
        told = told.tool_retry.content
    if isinstance(told, ValidationError):
        told = told.errors()
    if isinstance(told, list):
        told = "; ".join(": ".join([*map(str, item["loc"]), item["msg"]]) for item in told)
    return " ".join(str(told).split())[:MOST_WHY].rstrip(".")


def _valid(answer: Any, schema: dict[str, Any]) -> Any:
    """An answer that is of its schema. Raises ModelRetry: it is not, and the model is told."""
    error = jsonschema.Draft202012Validator(schema).iter_errors(answer)
    if first := next(error, None):
        raise ModelRetry(f"{first.json_path} is wrong: {first.message}")
    return answer
