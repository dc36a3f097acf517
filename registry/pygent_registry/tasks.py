"""Tasks of servers, as their hosts know them (the tasks extension, SEP-2663).

A task's id is one server's own, and whoever has it may ask. So a host is given another: it names the server
too, and is sealed for the caller that made the call. Nothing is kept of it here.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from typing import Any

import mcp.types as t
from mcp import MCPError

from pygent_registry import chain
from pygent_registry.asking import Asking
from pygent_registry.calls import Context
from pygent_registry.catalogue import Target
from pygent_registry.link import Link
from pygent_registry.policies import caller_of
from pygent_registry.questions import ASKED_BY, Asked
from pygent_shared.seal import FOREVER, Seal
from pygent_shared.tasks import wire

MOST_ASKED = 1024
"""Questions of tasks that are remembered: one that is seen again, at every look, is not asked again."""


class Tasks:
    """The tasks of one front's hosts.

    Args:
        seal: of their ids.
        asking: what tasks may ask.
    """

    def __init__(self, seal: Seal, asking: Asking) -> None:
        self._seal = seal
        self._asking = asking
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def meant(self, context: Context, id: str, only: str | None) -> Target:
        """The server that a task is at, and its id there.

        Args:
            only: the one server that this caller is shown; None for all.

        Raises:
            MCPError: it is no task of this caller.
        """
        opened = self._seal.open(id, _bound(context), time.time())
        if opened is None:
            raise wire.unknown()
        server, own = json.loads(opened)
        if only not in (None, server):
            raise wire.unknown()
        return Target(server=server, name=own)

    def shown(self, link: Link, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """A task as its host may see it.

        Raises:
            MCPError: the host takes no tasks, or cannot answer what the task asks.
            NotAllowed, TooMany: the task may not ask that, or not so often.
        """
        server = link.entry.name
        if not wire.is_declared(context):
            why = f'Server "{server}" answered with a task, and this host has not declared that it takes them'
            raise MCPError(t.INTERNAL_ERROR, why)
        own = str(result.get("taskId", ""))
        shown = {**result, "taskId": self._seal.seal(json.dumps([server, own]), _bound(context), FOREVER)}
        if asked := result.get("inputRequests"):
            shown["inputRequests"] = {
                key: self._admitted(link, context, own, request) for key, request in asked.items()
            }
            shown["_meta"] = {**(result.get("_meta") or {}), ASKED_BY: server}
        return shown

    def _admitted(self, link: Link, context: Context, id: str, asked: Asked) -> Asked:
        """A question as it may be put to the host: once, however often the host looks at its task."""
        key = chain.fingerprint([caller_of(context), link.entry.name, id, asked])
        if key not in self._asked:
            self._asked[key] = self._asking.admitted(link, context, asked)
            if len(self._asked) > MOST_ASKED:
                self._asked.popitem(last=False)
        return self._asked[key]


def _bound(context: Context) -> str:
    return f"task of {caller_of(context)}"
