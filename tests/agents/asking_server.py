"""An MCP server, for tests, whose tools note that they were called, and some of which ask their user first.

python asking_server.py NOTES
"""

import sys
from pathlib import Path
from typing import Any

import mcp.types as t
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, TextContent

NOTES = Path(sys.argv[1])
URL = "https://example.com/sign-in"
SCHEMA: Any = {"type": "object", "properties": {"litres": {"type": "integer"}}, "required": ["litres"]}
server = MCPServer("asking")


def done(what: str) -> CallToolResult:
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")
    return CallToolResult(content=[TextContent(text=f"{what}: done")])


def asked(params: Any) -> t.InputRequiredResult:
    request = t.ElicitRequest(params=params)
    return t.InputRequiredResult(input_requests={"it": request}, request_state="so far")


def given(context: Context[Any]) -> t.ElicitResult | None:
    found = (context.input_responses or {}).get("it")
    return found if isinstance(found, t.ElicitResult) else None


@server.tool()
async def act(what: str) -> CallToolResult:
    """Do something that is not to be done unasked."""
    return done(what)


@server.tool()
async def sign_in(context: Context[Any]) -> CallToolResult | t.InputRequiredResult:
    """Have the user sign in somewhere."""
    if (answer := given(context)) is None:
        return asked(t.ElicitRequestURLParams(message="Sign in.", url=URL, elicitation_id="e1"))
    return done(f"sign_in {answer.action} {context.request_state}")


@server.tool()
async def pour(context: Context[Any]) -> CallToolResult | t.InputRequiredResult:
    """Ask how much."""
    if (answer := given(context)) is None:
        return asked(t.ElicitRequestFormParams(message="How much?", requested_schema=SCHEMA))
    return done(f"pour {answer.action} {answer.content}")


if __name__ == "__main__":
    server.run("stdio")
