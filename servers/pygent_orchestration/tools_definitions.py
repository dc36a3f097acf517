"""The tools that define workflows and show them."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from pygent_orchestration import reading
from pygent_orchestration.answers import BegunRow, DefinitionAnswer, DefinitionRow, WorkflowsAnswer
from pygent_orchestration.graph import Graph
from pygent_orchestration.orchestration import Orchestration, owned
from pygent_orchestration.spec import Definition
from pygent_orchestration.store import now
from pygent_shared.server import SuiteServer, answer

READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

Name = Annotated[str, Field(description="A workflow's name, from list_workflows.")]


def add_definitions(server: SuiteServer[Orchestration], orchestration: Orchestration) -> None:
    """Add them."""

    @server.tool(title="Define a workflow", annotations=CHANGES)
    def define_workflow(
        name: Annotated[str, Field(description="Letters a-z, digits, - and _. An old name: a new version.")],
        definition: Annotated[str, Field(description="The text, as below.")],
        format: Annotated[Literal["toml", "yaml"], Field(description="What the text is.")] = "toml",
    ) -> Annotated[CallToolResult, DefinitionAnswer]:
        """Define a workflow as data: steps that depend on each other, done at once where they do not.

        Fields: description, output (a template), concurrency, [inputs.NAME] type/description/default,
        [steps.NAME]. A step is one of: agent + task (a deployed agent of the factory); tool + with; gate (a
        command in a sandbox) + folder; approval (a question); signal; condition (an expression); workflow +
        with; map (a list) or repeat (rounds) + until, over [steps.NAME.steps.…] or a workflow. Any step may
        have: needs, when, retries, timeout (seconds), optional, undo. Texts hold expressions as
        {{ inputs.topic }}, {{ steps.draft }}, in bodies {{ item }}, {{ index }}, {{ last }}; reading a step
        is waiting for it.

            [inputs.topic]
            [steps.draft]
            agent = "writer"
            task = "Write about {{ inputs.topic }}."
            [steps.agreed]
            approval = "Publish? {{ steps.draft }}"

        What is wrong comes back with its line. Begun workflows stay with their version.
        """
        owned("Workflows")
        reading.workflow_name(name)
        found = reading.definition(definition, format)
        orchestration.library.uses(name, found)
        version = orchestration.store.define(name, found, now())
        return _whole(name, version, found)

    @server.tool(title="List workflows", annotations=READS)
    async def list_workflows(
        name: Annotated[str, Field(description="Only of this definition.")] = "",
        limit: Annotated[int, Field(ge=1, le=200, description="Of those begun, the newest.")] = 20,
    ) -> Annotated[CallToolResult, WorkflowsAnswer]:
        """The workflows that can be begun, with their inputs, and those that were, with their states."""
        workflows = await orchestration.workflows()
        library = orchestration.library
        names = [name] if name else library.names()
        data = WorkflowsAnswer(
            definitions=[_row(known, *library.get(known)) for known in names],
            workflows=[BegunRow.of(*begun) for begun in await workflows.all(name, limit)],
        )
        return answer(data.text(), data)

    @server.tool(title="Show a workflow", annotations=READS)
    def show_workflow(
        name: Name,
        version: Annotated[int | None, Field(description="An older one.")] = None,
    ) -> Annotated[CallToolResult, DefinitionAnswer]:
        """A definition whole: its inputs, its steps and the order they are done in. One that ships is a good
        beginning for your own: change it, and define it under another name."""
        owned("Workflows")
        return _whole(name, *orchestration.library.get(name, version))


def _row(name: str, version: int, definition: Definition) -> DefinitionRow:
    return DefinitionRow.of(name, version, definition, Graph(definition.steps).order)


def _whole(name: str, version: int, definition: Definition) -> CallToolResult:
    data = DefinitionAnswer(
        workflow=_row(name, version, definition),
        definition=definition.model_dump(mode="json", by_alias=True, exclude_unset=True),
    )
    return answer(data.text(), data)
