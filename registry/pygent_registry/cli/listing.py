"""`pygent list`: the servers, their state, their tools."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import add_json, add_settings
from pygent_registry.cli.terminal import columns, counted, first_sentence, fitting, print_json

if TYPE_CHECKING:
    from pygent_registry.registry import Registry

EXAMPLE = "pygent list --json"


def configure(parser: ArgumentParser) -> None:
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.cli import session

    settings = session.quiet_settings(chosen)
    config = session.config_in_force(settings)
    servers = session.run(_servers, config, settings)
    servers += [{"name": name, "state": "disabled"} for name in config.disabled]
    if chosen.json:
        print_json({"config": str(config.path), "servers": servers})
    else:
        print("\n".join(line for server in servers for line in _lines(server)) or _none(str(config.path)))
    return 0


async def _servers(registry: Registry) -> list[dict[str, Any]]:
    """Each server as the registry reports it, with what to do about it and its tools."""
    await registry.settled()
    catalogue = registry.catalogue(modern=True)
    found = []
    for name, report in registry.report()["servers"].items():
        server = {"name": name, **report}
        if name in registry.downstreams and not registry.downstreams[name].primary.is_up:
            server["cure"] = registry.downstreams[name].primary.cure
        server["tools"] = [
            {key: tool[key] for key in ("name", "title", "description", "inputSchema") if key in tool}
            for shown, tool in catalogue.tools.items()
            if catalogue.tool_targets[shown].server == name
        ]
        found.append(server)
    return found


def _lines(server: Mapping[str, Any]) -> Iterator[str]:
    """One server for a person."""
    from pygent_shared.unseen import spelled_out

    match server:
        case {"state": "ready" | "degraded", "tools": tools, "era": era, "kind": kind}:
            yield f"{server['name']}: up, {counted(len(tools), 'tool')} ({era} era, {kind})"
            if "why" in server:
                yield fitting(f"  but {server['why']}")
            yield from columns(
                ((tool["name"], first_sentence(tool.get("description"))) for tool in tools), "  "
            )
            for what, why in server.get("trust", {}).get("withheld", {}).items():
                cure = f"see it: pygent approve {server['name']} --diff"
                yield fitting(f"  hidden: {spelled_out(f'{what} {why}')}; {cure}")
        case {"state": "disabled"}:
            yield f"{server['name']}: disabled in the config file"
        case {"state": "unusable", "why": why}:
            yield f"{server['name']}: unusable; {why}"
        case {"cure": cure, "why": why} if cure:
            yield f"{server['name']}: down; {why}"
            yield fitting(f"  {cure}")
        case _:
            yield f"{server['name']}: starting; look again in a moment, or check it: pygent doctor"


def _none(path: str) -> str:
    return f'There are no servers in "{path}". Add one: pygent add filesystem ~/notes'
