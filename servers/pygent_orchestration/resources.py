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

from pygent_orchestration.features import prp
from pygent_orchestration.orchestration import Orchestration, owned
from pygent_shared.errors import UnknownName
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

    orchestration.station.tells.append(tell)

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

    @server.resource("feature://{id}", title="A feature", mime_type="application/json")
    async def feature(id: str) -> str:
        """A feature as it stands, with its plan and what came of each task."""
        found = await (await orchestration.features()).get(id)
        return found.model_dump_json(indent=2)

    @server.resource("feature://{id}/events", title="What happened", mime_type="application/jsonl")
    async def feature_events(id: str) -> str:
        """All that happened to a feature, a JSON object a line, oldest first: it is what these say."""
        found = (await orchestration.features()).events(id)
        return "".join(f"{event.model_dump_json()}\n" for event in found)

    @server.resource("feature://{id}/prp/{task}", title="A PRP", mime_type="text/markdown")
    async def prp_of(id: str, task: str) -> str:
        """What the coder of a task is told, as Markdown: submit_feature takes it back as one of its tasks."""
        feature = await (await orchestration.features()).get(id)
        if task not in feature.tasks:
            raise UnknownName("task", task, feature.tasks)
        return prp.render(feature.tasks[task].prp)

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
            features = isinstance(ref, ResourceTemplateReference) and ref.uri.startswith("feature://")
            known = (
                orchestration.feature_store.ids(1000)
                if features
                else [begun.id for begun in orchestration.store.all("", 1000)]
            )
        else:
            return None
        begun = [name for name in known if name.startswith(argument.value)]
        return Completion(values=begun[:100], total=len(begun), has_more=len(begun) > 100)
