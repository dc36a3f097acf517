"""The HTTP server of the churn, in both eras, on the SDK's own server: `python soak_web.py PORT`."""

import sys

import anyio
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("web", log_level="ERROR")


@server.tool()
async def say(payload: str, ctx: Context, seconds: float = 0, steps: int = 0) -> str:
    """Say it back, later, and report progress until then, as `soak_servers.py` does."""
    for step in range(1, steps + 1):
        await anyio.sleep(seconds / (steps + 1))
        await ctx.report_progress(step, steps, payload)
    await anyio.sleep(seconds / (steps + 1))
    return payload


if __name__ == "__main__":
    server.run("streamable-http", port=int(sys.argv[1]))
