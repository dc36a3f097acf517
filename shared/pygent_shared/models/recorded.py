"""Any model, with each of its answers a step of the workflow that asks: none is paid for twice."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from pygent_shared.durable import workflow

_RESPONSE = TypeAdapter(ModelResponse)


class RecordedModel(WrapperModel):
    """Wraps a model. (pydantic-ai's own `DBOSDurability` hands objects to the engine, which pickles them.)"""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        async def ask() -> Any:
            said = await self.wrapped.request(messages, model_settings, model_request_parameters)
            return _RESPONSE.dump_python(said, mode="json")

        return _RESPONSE.validate_python(await workflow.step(f"model {self.model_name}", ask))
