"""A stdio server with two tools that writes down each call: `tide_server.py FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from mcp.server import MCPServer

server = MCPServer("tides")


@server.tool()
def turn(place: str) -> str:
    """When the tide turns at a place."""
    _note(f"turn {place}")
    return f"At {place} it turns at 6."


@server.tool()
def depth(hour: int) -> str:
    """How deep the water is at an hour."""
    _note(f"depth {hour}")
    return f"At {hour} it is {hour / 2:g} metres deep."


def _note(line: str) -> None:
    with Path(sys.argv[1]).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    server.run()
