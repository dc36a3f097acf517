"""The MCP server the suite's servers are built on: the SDK's, with errors and arguments a model can mend.

The one rule: what a tool, resource or prompt raises on purpose (`PygentError`) reaches the caller as its
sentence; anything else is a defect, and stays in the log.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    TextContent,
)
from pydantic import BaseModel, ValidationError

from pygent_shared.caller import tell_caller
from pygent_shared.errors import PygentError, UnknownName, did_you_mean
from pygent_shared.peers import Peers
from pygent_shared.settings import Settings

State = TypeVar("State")

BuildServer = Callable[[Settings, Peers | None], Any]
"""What the entry-point group `pygent.servers` holds: `build_server(settings, peers) -> MCPServer`."""

ENTRY_POINTS = "pygent.servers"

_CALLS_PEERS = "calls_peers"


def calls_peers(build: BuildServer) -> BuildServer:
    """Mark a `build_server` whose server calls others: who wants it for one call has them started too."""
    setattr(build, _CALLS_PEERS, True)
    return build


def does_call_peers(build: BuildServer) -> bool:
    """Whether a `build_server` is marked so."""
    return bool(getattr(build, _CALLS_PEERS, False))


class SuiteServer(MCPServer[State]):
    """`MCPServer` with these differences: see the module's rule; misspelled arguments are refused."""

    def __init__(self, name: str, **options: Any) -> None:
        self._tolerant: set[str] = set()
        super().__init__(name, version=version("pygent-factory"), log_level="WARNING", **options)
        self.middleware.append(tell_caller)

    def tolerate_unknown_arguments(self, tool: str) -> None:
        """Have a tool's unknown arguments dropped: callers of the one it stands in for may send them."""
        self._tolerant.add(tool)

    def add_tool(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        *further: Any,
        **options: Any,
    ) -> None:
        """As the SDK's, but a docstring that serves as description loses its indentation, and the schemas
        lose what says nothing: a model reads each of them at every turn."""
        super().add_tool(fn, name, title, description or inspect.getdoc(fn), *further, **options)
        tool = self._tool_manager.get_tool(name or fn.__name__)
        assert tool is not None
        _tersen(tool.parameters)
        _tersen(tool.output_schema)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[State] | None = None
    ) -> CallToolResult | InputRequiredResult:
        self._refuse_unknown(name, arguments)
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            if isinstance(error.__cause__, PygentError):
                raise ToolError(str(error.__cause__)) from error.__cause__
            raise
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_sentence(name, error.__cause__)) from error.__cause__
            raise

    async def read_resource(self, uri: Any, context: Context[State] | None = None) -> Any:
        try:
            return await super().read_resource(uri, context)
        except UnexpectedResourceError as error:
            if isinstance(error.__cause__, UnknownName):
                raise ResourceNotFoundError(str(error.__cause__)) from error.__cause__
            if isinstance(error.__cause__, PygentError):
                raise ResourceError(str(error.__cause__)) from error.__cause__
            raise

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[State] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        known = [prompt.name for prompt in self._prompt_manager.list_prompts()]
        if name not in known:
            raise MCPError(INVALID_PARAMS, str(UnknownName("prompt", name, known)))
        try:
            return await super().get_prompt(name, arguments, context)
        except ValueError as error:  # the SDK's, from its own "Error rendering prompt", from what was raised
            cause = error.__cause__ and error.__cause__.__cause__
            if isinstance(cause, PygentError):
                raise MCPError(INVALID_PARAMS, str(cause)) from cause
            raise

    def _refuse_unknown(self, name: str, arguments: dict[str, Any]) -> None:
        """The SDK drops arguments it does not know; a misspelled one would be ignored in silence."""
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            known = (tool.name for tool in self._tool_manager.list_tools())
            raise ToolError(str(UnknownName("tool", name, known)))
        if name in self._tolerant:
            return
        known_arguments = tool.parameters.get("properties", {})
        for argument in arguments:
            if argument not in known_arguments:
                hint = did_you_mean(argument, known_arguments) if known_arguments else " It takes none."
                raise ToolError(f'{name} has no argument "{argument}".{hint} Mend that and call it again.')


def answer(text: str, data: BaseModel) -> CallToolResult:
    """A tool's result: a short text for the model, the data for programs. Never the same JSON twice."""
    return CallToolResult(
        content=[TextContent(text=text)], structured_content=data.model_dump(mode="json", exclude_none=True)
    )


def _tersen(schema: Any) -> None:
    """Take the titles and the defaults of null out of a JSON Schema, in place. A property may well be called
    "title" or "default"."""
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        if "default" in schema and schema["default"] is None:
            del schema["default"]
        for part in schema.values():
            _tersen(part)
    elif isinstance(schema, list):
        for part in schema:
            _tersen(part)


def _sentence(tool: str, error: ValidationError) -> str:
    """Pydantic's findings in one line: which argument, what is wrong, what came."""
    findings = []
    for finding in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in finding["loc"]) or "arguments"
        came = "" if finding["type"] == "missing" else f" (got {str(finding['input'])[:60]!r})"
        findings.append(f"{place}: {finding['msg'][0].lower()}{finding['msg'][1:]}{came}")
    return f"{tool} cannot use these arguments: {'; '.join(findings)}. Mend them and call it again."
