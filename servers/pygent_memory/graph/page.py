"""The page that draws a part of the graph in hosts that show MCP Apps; others show the tools' text.

See the MCP Apps extension (SEP-1865, version 2026-01-26): the host shows the page in a frame of its own and
hands it the tool's result by messages.
"""

from __future__ import annotations

from importlib.resources import files

from mcp.server.apps import Apps

PAGE = "ui://pygent-memory/graph.html"


def graph_page() -> Apps:
    """The extension that serves the page. It asks for nothing from any other place."""
    apps = Apps()
    apps.add_html_resource(
        PAGE,
        html(),
        name="graph-page",
        title="Knowledge graph",
        description="Draws what graph_neighbourhood, graph_path and graph_subgraph answer.",
        prefers_border=True,
    )
    return apps


def html() -> str:
    """The page's text."""
    return files("pygent_memory.graph").joinpath("page.html").read_text(encoding="utf-8")
