"""What a host may read without calling a tool."""

from __future__ import annotations

import json
from dataclasses import asdict

from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from pygent_factory.factory import Factory
from pygent_factory.files import written
from pygent_shared.server import SuiteServer


def add_resources(server: SuiteServer[Factory], factory: Factory) -> None:
    """Add the resources, and completion of their arguments."""

    @server.resource("agent://{name}", title="An agent", mime_type="application/json")
    def agent(name: str) -> str:
        """An agent as it is now, with every version."""
        found = factory.agents.get(name)
        versions = [factory.agents.version(name, number) for number in range(1, found.version + 1)]
        data = {
            "name": name,
            "state": found.state,
            "versions": [spec.model_dump(mode="json") for spec in versions],
            "events": [asdict(event) for event in factory.agents.events(name)],
        }
        return json.dumps(data, indent=2)

    @server.resource("agent://{name}/{format}", title="An agent as a file", mime_type="text/plain")
    def file(name: str, format: str) -> str:
        """An agent as a file, toml or yaml, for a folder of agents."""
        spec = factory.agents.get(name).spec
        return written(name, spec, format, factory.kinds.get(spec.type))

    @server.resource("run://{id}", title="A run", mime_type="application/json")
    async def run(id: str) -> str:
        """The whole trace of a run: messages, tool calls, usage, and its strategy's notes."""
        return json.dumps(asdict(await (await factory.runs()).get(id)), indent=2)

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # as the SDK has it
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if argument.name not in ("name", "format"):
            return None
        known = factory.agents.names() if argument.name == "name" else ["toml", "yaml"]
        begun = [name for name in known if name.startswith(argument.value)]
        return Completion(values=begun[:100], total=len(begun), has_more=len(begun) > 100)
