"""Several models, one after the other: when one gives no answer, tried again and again, the next goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, cast

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from pygent_shared.durable.failure import Failed
from pygent_shared.errors import BudgetSpent, ModelFailed

RETRIES = 2
"""Of a request that was refused as too many (429), as overloaded (5xx), or not answered; after half a second,
then twice as long, or when the provider says."""
LAST_RETRIES = 5
"""Of the last model: nobody comes after it."""
MOST_WHY = 300


class Chain(WrapperModel):
    """What has failed is not asked again. Which failed is known from its recorded answers, so that a workflow
    that is run again comes to the same model.

    Args:
        names: of the models, in order.
        make: a model of a name. Its failures are `Failed`.
        tell: is told of each change.
    """

    def __init__(
        self, names: Sequence[str], make: Callable[[str], Model], tell: Callable[[str], None]
    ) -> None:
        super().__init__(make(names[0]))
        self._names = list(names)
        self._make = make
        self._tell = tell
        self._open = AsyncExitStack()
        self.failed: list[dict[str, str]] = []
        """Each `model` that gave no answer, and `why`."""

    @property
    def current(self) -> str:
        """The name of the model that is asked now."""
        return self._names[len(self.failed)]

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self.wrapped)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._open.__aexit__(exc_type, exc_val, exc_tb)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        while True:
            settings: Any = {**(model_settings or {}), "max_retries": self._retries()}
            try:
                return await self.wrapped.request(
                    messages, cast(ModelSettings, settings), model_request_parameters
                )
            except Failed as error:
                if error.kind == BudgetSpent.__name__:
                    raise
                await self._go_on(error)

    async def _go_on(self, error: Failed) -> None:
        """Change to the next model, for good.

        Raises:
            ModelFailed: there is none.
        """
        name, why = self.current, " ".join(str(error).split())[:MOST_WHY].rstrip(".")
        if len(self.failed) + 1 == len(self._names):
            told = "; ".join(f"{item['model']}: {item['why']}" for item in self.failed)
            before = f" (before it, {told})" if told else ""
            others = f'configure_agent(…, model=["{name}", "host"])'
            cure = f"Try again later, or name others to go on with: {others}."
            raise ModelFailed(name, f"gives no answer: {why}{before}", cure) from error
        self.failed.append({"model": name, "why": why})
        self._tell(f"model {name} gives no answer; {self.current} goes on")
        self.wrapped = await self._open.enter_async_context(self._make(self.current))

    def _retries(self) -> int:
        return LAST_RETRIES if len(self.failed) + 1 == len(self._names) else RETRIES
