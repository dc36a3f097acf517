"""An MCP server, for tests, whose one tool takes its time, says how far it is, and notes what came of it.

python waiting_server.py NOTES
"""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer

NOTES = Path(sys.argv[1])
server = MCPServer("waiting")


def note(what: str, context: Context[Any]) -> None:
    """Write down what happened, and in which trace."""
    meta = (context.request_context.params or {}).get("_meta") or {}
    line = {"what": what, "traceparent": meta.get("traceparent", "")}
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@server.tool()
async def wait(context: Context[Any], seconds: float) -> str:
    """Wait so many seconds, with progress every fifth of one."""
    note("begun", context)
    try:
        for step in range(int(seconds * 5)):
            await context.report_progress(step + 1, seconds * 5, f"waited {step + 1}")
            await anyio.sleep(0.2)
    except anyio.get_cancelled_exc_class():
        note("cancelled", context)
        raise
    note("done", context)
    return "waited"


if __name__ == "__main__":
    server.run("stdio")
