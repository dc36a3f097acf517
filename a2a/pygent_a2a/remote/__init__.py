"""A2A agents elsewhere, as an MCP server: what any MCP host asks them by.

remotes.py   which agents there are, from the setting. Pure.
wire.py      how their addresses are reached, and which are not.
card.py      what an agent says it is: fetched, its signature checked, and what of it is pinned.
agent.py     one agent: ask, follow, look, cancel, over the SDK's client.
exchange.py  one request to an agent, and what becomes of it when nobody wants it any more.
told.py      what an agent has said of a task so far. Pure.
content.py   parts of A2A as content of MCP. Pure.
answers.py   what the tools answer. Pure.
asking.py    an agent's question, put to the host's user in both eras of MCP.
tools.py     the tools and the resource of one agent.
server.py    the server.
"""

import os

# mcp brings OpenTelemetry's API, and the SDK makes some sixty spans a request wherever that is importable.
os.environ.setdefault("OTEL_INSTRUMENTATION_A2A_SDK_ENABLED", "false")
