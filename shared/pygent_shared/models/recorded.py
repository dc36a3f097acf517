"""Any model, with each of its answers a step of the workflow that asks: none is paid for twice."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from pygent_shared.durable import workflow
from pygent_shared.durable.deadline import Deadline

_RESPONSE = TypeAdapter(ModelResponse)


class RecordedModel(WrapperModel):
    """Wraps a model. (pydantic-ai's own `DBOSDurability` hands objects to the engine, which pickles them.)

    Args:
        wrapped: the model.
        deadline: of each answer.
    """

    def __init__(self, wrapped: Model, deadline: Deadline) -> None:
        super().__init__(wrapped)
        self._deadline = deadline

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        async def ask() -> Any:
            said = await self._deadline.kept(
                lambda: self.wrapped.request(messages, model_settings, model_request_parameters)
            )
            return _RESPONSE.dump_python(said, mode="json")

        return _RESPONSE.validate_python(await workflow.step(f"model {self.model_name}", ask))
