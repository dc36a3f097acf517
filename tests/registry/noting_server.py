"""A stdio server that writes down each call and the process that started it: `noting_server.py FILE`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mcp.server import MCPServer

server = MCPServer("notes")


@server.tool()
def greet(name: str) -> str:
    """Greet somebody."""
    with Path(sys.argv[1]).open("a", encoding="utf-8") as file:
        file.write(f"greet {os.getppid()} {name}\n")
    return f"Hello {name}."


@server.tool()
def read() -> str:
    """What was written down."""
    return Path(sys.argv[1]).read_text(encoding="utf-8")


if __name__ == "__main__":
    server.run()
