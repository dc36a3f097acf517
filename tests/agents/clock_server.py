"""An MCP server whose one tool takes its time."""

import anyio
from mcp.server.mcpserver import MCPServer

server = MCPServer("clock")


@server.tool()
async def wait(seconds: float) -> str:
    """Wait."""
    await anyio.sleep(seconds)
    return "It is later now."


if __name__ == "__main__":
    server.run()
