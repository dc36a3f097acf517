"""Language models by name, `provider:model`: whoever runs an agent gets one here. pydantic-ai is the seam.

    auto                     the first that fits, as `choice` finds it in `table`
    host                     the MCP host's own model, borrowed; no key
    scripted:FILE            replies from a file, for tests and demonstrations; every result says so
    openai:NAME              the provider's key in OPENAI_API_KEY. With OPENAI_BASE_URL it is any server that
                             speaks chat completions
    anthropic:NAME           ANTHROPIC_API_KEY
    ollama:NAME              OLLAMA_BASE_URL, http://localhost:11434/v1 where it is not set

Importing this imports neither pydantic-ai nor a provider; `resolve` does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pygent_shared.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    from pydantic_ai.models import Model

AUTO = "auto"
HOST = "host"
SCRIPTED = "scripted"
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "ollama": ""}
OLLAMA = "http://localhost:11434/v1"


def checked(name: str) -> str:
    """The name of a model that could be resolved: nothing is imported, and no key looked for.

    Raises:
        InvalidArgument: it is none.
    """
    provider, _, model = name.partition(":")
    if name in (AUTO, HOST) or (provider in (SCRIPTED, *KEYS) and model):
        return name
    why = f"{name!r} names no model"
    cure = f"Use auto, host, scripted:FILE, or PROVIDER:MODEL of {', '.join(KEYS)}, such as ollama:qwen3."
    raise InvalidArgument("model", why, cure)


def resolve(name: str) -> Model:
    """The model of a name that is neither `auto` nor `host`.

    Raises:
        InvalidArgument: there is none of that name, its key is missing or its file unusable.
        MissingExtra: pydantic-ai is not installed.
    """
    provider, _, model = checked(name).partition(":")
    try:
        if provider == SCRIPTED:
            from pygent_shared.models.scripted import ScriptedModel

            return ScriptedModel(Path(model))
        if (key := KEYS[provider]) and not os.environ.get(key):
            cure = f'Set {key}, or use the host\'s own model: configure_agent(…, model="host").'
            raise InvalidArgument("model", f"{name} needs a key", cure)
        if provider == "ollama":
            from pydantic_ai.models.ollama import OllamaModel
            from pydantic_ai.providers.ollama import OllamaProvider

            return OllamaModel(model, provider=OllamaProvider(os.environ.get("OLLAMA_BASE_URL") or OLLAMA))
        from pydantic_ai.models import infer_model

        # OpenAI's own server speaks a newer protocol as well, which few others do.
        compatible = provider == "openai" and os.environ.get("OPENAI_BASE_URL")
        return infer_model(f"openai-chat:{model}" if compatible else name)
    except ImportError as error:
        raise MissingExtra("running agents", "agents") from error
