"""An agent in one run: its model, tools and budget, as its strategy uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeAlias

from pydantic_ai import Agent, UsageLimits
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.output import StructuredDict
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage

from pygent_factory.citing import mend, unsupported
from pygent_factory.spec import Spec
from pygent_factory.tools import PeerTools, Tell

Solve: TypeAlias = "Callable[[Thinker, str], Awaitable[object]]"


class Thinker:
    """What a strategy may do. All that is said is kept, and spends one budget.

    Args:
        spec: the agent's version.
        model: each of its answers a step of the run.
        tools: each call a step.
        history: what was said before in this conversation.
        tell: is told of each call of the model.
    """

    def __init__(
        self, spec: Spec, model: Model, tools: PeerTools, history: list[ModelMessage], tell: Tell
    ) -> None:
        self._spec = spec
        self._model = Told(model, tell)
        self._tools = tools
        self._history = history
        self._usage = RunUsage()
        self._limits = UsageLimits(
            request_limit=spec.budget.requests,
            total_tokens_limit=spec.budget.tokens,
            cost_limit=None if spec.budget.usd is None else Decimal(str(spec.budget.usd)),
        )
        self._messages: list[ModelMessage] = []
        self._latest: list[ModelMessage] = []
        self._notes: dict[str, Any] = {}
        self._worked: list[ModelMessage] = history
        self._unsupported: list[str] = []

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
        return {
            "messages": ModelMessagesTypeAdapter.dump_python(self._messages, mode="json"),
            "tools": self._tools.called,
            "notes": self._notes,
            "unsupported": self._unsupported,
            "usage": {
                "requests": self._usage.requests,
                "input_tokens": self._usage.input_tokens,
                "output_tokens": self._usage.output_tokens,
                "tool_calls": self._usage.tool_calls,
            },
        }

    def _worker(self) -> Agent[None, Any]:
        output: Any = StructuredDict(self._spec.output, name="answer") if self._spec.output else str
        return Agent(
            self._model,
            output_type=output,
            instructions=self._spec.instructions,
            toolsets=[self._tools],
            retries=2,
        )

    async def _run(self, agent: Agent[Any, Any], prompt: str, history: list[ModelMessage]) -> object:
        result = await agent.run(
            prompt, message_history=history, usage=self._usage, usage_limits=self._limits
        )
        self._latest = result.new_messages()
        self._messages += self._latest
        output: object = result.output
        return output


class Told(WrapperModel):
    """A model whose calls are counted and told."""

    def __init__(self, wrapped: Model, tell: Tell) -> None:
        super().__init__(wrapped)
        self._tell = tell
        self._calls = 0

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        self._calls += 1
        self._tell(f"model call {self._calls}")
        return await super().request(messages, model_settings, model_request_parameters)
