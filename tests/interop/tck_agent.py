"""A factory with one agent that plays the parts of the A2A project's conformance kit, served over A2A.

The kit tells by the beginning of a message's id what it wants. So the agent is shown that id with the
message, and thinks with a script that has a part for each. All the rest is what everybody is served.

    python -m tests.interop.tck_agent --port 9999 --data-dir /tmp/tck
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import anyio

from pygent_shared.serve import add_setting_flags, settings_from
from pygent_shared.settings import Settings

SCRIPTS = {
    # The kit of 1.0 wants tasks to end, but for those that it names; that of 0.3 wants each to be open still.
    "kit": Path(__file__).with_name("tck_script.json"),
    "patient": Path(__file__).with_name("tck_patient_script.json"),
}


ODD = "application/x-unsupported-tck-type"
"""The kit's CORE-SEND-003 says that such a part is to be refused, and passes where it is taken."""


class Clock:
    """The agent's one tool besides those towards its user: it takes its time."""

    async def list_tools(self) -> list[dict[str, Any]]:
        schema = {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}
        return [{"name": "clock__wait", "description": "Wait.", "inputSchema": schema}]

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        await anyio.sleep(float(arguments["seconds"]))
        return {"content": [{"type": "text", "text": "It is later now."}], "isError": False}


async def serve(settings: Settings, agent: str) -> None:
    """Until a signal comes."""
    from a2a.types import Message
    from mcp import Client
    from tests.agents.a2a_serving import FactoryTools

    from pygent_a2a.front import A2A
    from pygent_a2a.parts import prompt
    from pygent_factory.server import build_server
    from pygent_shared.http.run import serve_http

    def read(message: Message) -> str:
        return f"{message.message_id}\n{prompt(message)}"

    async with Client(build_server(settings, Clock())) as factory:
        agents = await factory.call_tool("list_agents", {})
        if not (agents.structured_content or {}).get("agents"):
            about = {"description": "Plays the kit's parts.", "capabilities": ["tck"]}
            tools = ["user__*", "clock__*"]
            made = {"name": agent, "model": f"scripted:{SCRIPTS[agent]}", "tools": tools, "more": about}
            await factory.call_tool("create_agent", made)
            await factory.call_tool("deploy_agent", {"name": agent})
        front = A2A(settings, FactoryTools(factory), read, (ODD,))
        await serve_http({}, settings, fronts=[front])


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    add_setting_flags(parser)
    parser.add_argument("--agent", choices=SCRIPTS, default="kit", help="whose part is played")
    chosen = vars(parser.parse_args())
    agent = chosen.pop("agent")
    chosen["auth"] = chosen["auth"] or "none"  # the kit sends no credentials
    anyio.run(serve, settings_from(chosen), agent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
