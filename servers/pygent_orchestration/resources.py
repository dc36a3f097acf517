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

from pygent_orchestration.orchestration import Orchestration, owned
from pygent_shared.server import SuiteServer
from pygent_shared.subscribers import Subscribers


def add_resources(server: SuiteServer[Orchestration], orchestration: Orchestration) -> None:
    """Add the resources, and completion of their arguments. Who subscribed to one is told of its changes."""
    subscribers = Subscribers(server)

    async def tell(address: str) -> None:
        """Tell of what an address on the bus stands for."""
        uri = address.replace("/", "://", 1)
        await subscribers.changed(uri)
        await subscribers.changed(f"{uri}/events")

    orchestration.tells.append(tell)

    @server.resource("workflow://{id}", title="A workflow", mime_type="application/json")
    async def workflow(id: str) -> str:
        """A workflow as it stands, with all its steps and what they gave."""
        return json.dumps(asdict(await (await orchestration.workflows()).get(id)), indent=2)

    @server.resource("workflow://{id}/events", title="What happened", mime_type="application/jsonl")
    async def events(id: str) -> str:
        """All that happened to a workflow, a JSON object a line, oldest first. Lines are only ever added."""
        found = await (await orchestration.workflows()).history(id)
        return "".join(f"{json.dumps(asdict(event))}\n" for event in found)

    @server.resource("definition://{name}", title="A definition", mime_type="application/json")
    async def definition(name: str) -> str:
        """The newest version of a workflow's definition."""
        owned("Workflows")
        _, found = orchestration.library.get(name)
        return json.dumps(found.model_dump(mode="json", by_alias=True, exclude_unset=True), indent=2)

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # as the SDK has it
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        owned("Workflows")
        if argument.name == "name":
            known = orchestration.library.names()
        elif argument.name == "id":
            known = [begun.id for begun in orchestration.store.all("", 1000)]
        else:
            return None
        begun = [name for name in known if name.startswith(argument.value)]
        return Completion(values=begun[:100], total=len(begun), has_more=len(begun) > 100)
