"""`pygent call`: one tool, called from a terminal or a script."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pygent_registry.cli import arguments
from pygent_registry.cli.parser import add_json, add_settings
from pygent_registry.cli.terminal import Progress, note, print_json
from pygent_shared.errors import PeerError, UnknownName

if TYPE_CHECKING:
    from pygent_registry.entry import Entry
    from pygent_registry.registry import Registry

EXAMPLE = 'pygent call memory__memory_search query="who was on duty" limit=3'
WHO = "pygent call"
"""Who calls, for limits and in the record of calls."""


class CallRefused(PeerError):
    """A server answered a call with a protocol error, or with a question nobody here can answer."""

    def __init__(self, server: str, tool: str, why: str) -> None:
        super().__init__(f'Server "{server}" refused {tool}: {why}. See what it takes: pygent list --json')


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("tool", metavar="SERVER__TOOL", help="The tool, as pygent list shows it.")
    parser.add_argument(
        "arguments",
        metavar="key=value",
        nargs="*",
        help="Its arguments: texts as they are, lists and objects in JSON; key=@FILE takes the file's text.",
    )
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    texts = arguments.filled(arguments.split(chosen.arguments))
    from dataclasses import replace

    from pygent_registry.cli import session

    settings = session.quiet_settings(chosen)
    config = session.config_in_force(settings)
    session.refuse_unusable(config, chosen.tool.partition("__")[0])
    # A tool's name tells which servers it may be of: no other needs to start, unless these call it.
    needed = [entry for entry in config.entries if entry.may_own(chosen.tool)]
    if needed and not any(map(_calls_others, needed)):
        config = replace(config, entries=tuple(needed))

    async def work(registry: Registry) -> dict[str, Any]:
        return await _call(registry, chosen.tool, texts)

    result = session.run(work, config, settings)
    failed = bool(result.get("isError"))
    if chosen.json:
        print_json(result)
    else:
        text = "\n".join(shown(result))
        note(text) if failed else print(text)
    return 1 if failed else 0


def _calls_others(entry: Entry) -> bool:
    """Whether an entry is a server of ours that calls the others."""
    if entry.kind != "in-process":
        return False
    from pygent_registry.transports import suite_server
    from pygent_shared.server import does_call_peers

    return does_call_peers(suite_server(entry.server).load())


async def _call(registry: Registry, tool: str, texts: Mapping[str, str]) -> dict[str, Any]:
    from mcp import MCPError

    await registry.settled()
    catalogue = registry.catalogue(modern=True)
    if tool not in catalogue.tools:
        await _raise_down(registry, tool)
        registry.refuse_withheld("tool", tool)
        raise UnknownName("tool", tool, catalogue.tools, "See them all: pygent list")
    server = catalogue.tool_targets[tool].server
    given = arguments.typed(texts, catalogue.tools[tool].get("inputSchema") or {}, tool)
    with Progress(tool) as progress:
        try:
            result = await registry.calls.call(tool, given, by=WHO, progress=progress.report)
        except MCPError as error:
            raise CallRefused(server, tool, error.error.message) from error
    if result.get("resultType") == "input_required":
        why = "it asks its user or a model, which a host has and this command has not"
        raise CallRefused(server, tool, why)
    return result


async def _raise_down(registry: Registry, tool: str) -> None:
    """If the tool may be one of a server that is not up, say what is wrong with that.

    Raises:
        ServerUnavailable: there is one.
    """
    for name, item in registry.downstreams.items():
        if not item.primary.is_up and item.entry.shown_prefix and item.entry.may_own(tool):
            await registry.link(name, modern=True)


def shown(result: Mapping[str, Any]) -> Iterator[str]:
    """A tool's result for a person: its texts; for anything else, a line that says what it is."""
    content = result.get("content") or []
    if not content and "structuredContent" in result:
        yield json.dumps(result["structuredContent"], ensure_ascii=False, indent=2)
    for item in content:
        yield _shown(item)


def _shown(item: Mapping[str, Any]) -> str:
    match item:
        case {"type": "text", "text": text}:
            return str(text)
        case {"type": "resource_link", "uri": uri}:
            return str(uri)
        case {"type": "resource", "resource": {"text": text}}:
            return str(text)
        case {"type": kind, **rest}:
            return f"[{rest.get('mimeType', kind)}; its data: --json]"
        case _:
            return json.dumps(item)
