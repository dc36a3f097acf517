"""`pygent worker`: a process that carries workflows out, and serves nobody.

It has all servers of the config, for the steps to use. That it takes from the queue is the orchestration
server's own doing, once it is asked for that queue.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from pygent_shared.serve import add_setting_flags, settings_from

if TYPE_CHECKING:
    from pygent_registry.config import Config
    from pygent_registry.registry import Registry

EXAMPLE = "pygent worker --workflow-workers 4"
SERVER = "orchestration"


def configure(parser: ArgumentParser) -> None:
    add_setting_flags(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.cli import session

    settings = settings_from(vars(chosen))
    config = session.config_in_force(settings)
    name = _entry(config)
    session.run(lambda registry: _work(registry, name), config, settings)
    return 0


def _entry(config: Config) -> str:
    """The config's name for the orchestration server.

    Raises:
        UnknownName: it is not in the config.
    """
    from pygent_shared.errors import UnknownName

    for entry in config.entries:
        if entry.server == SERVER:
            return entry.name
    known = (entry.name for entry in config.entries)
    cure = f'Add it under "mcpServers": "{SERVER}": {{"server": "{SERVER}"}}'
    raise UnknownName("server", SERVER, known, cure)


async def _work(registry: Registry, name: str) -> None:
    from pygent_registry.peer_calls import PeerCalls
    from pygent_shared.ending import told_to_end
    from pygent_shared.errors import ServerUnavailable

    registry.start()
    result = await PeerCalls(registry).call(f"{name}__queue_status", {})
    text = "".join(block.get("text", "") for block in result.get("content", ()))
    if result.get("isError"):
        raise ServerUnavailable(name, f"cannot work: {text}")
    print(f"At work on the queue of {name}: {text}", file=sys.stderr, flush=True)
    await told_to_end(with_parent=False)
