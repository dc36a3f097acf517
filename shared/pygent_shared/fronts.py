"""Fronts: what is served over HTTP beside the MCP endpoints, behind the same guard, over the same tools.

A front is found by its entry point and built by a function, as servers are: `build_front(settings, tools) ->
Front`. It speaks MCP to the suite through the `Tools` it is given, and imports none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, Protocol

from starlette.routing import BaseRoute

from pygent_shared.http.identity import Principal, Refusal
from pygent_shared.settings import Settings

ENTRY_POINTS = "pygent.fronts"


class Progress(Protocol):
    """Is told how far a call is, as the SDK tells it."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None: ...


class Tools(Protocol):
    """The tools of the suite, called for whoever called the front."""

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        caller: Principal | None = None,
        progress: Progress | None = None,
        meta: Mapping[str, Any] = MappingProxyType({}),
        asking: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The result (as on the wire) of the tool `server__tool`, called with that caller's rights; None is
        the machine's own user. `meta` is what its `_meta` holds, such as a trace; `asking` is that of
        `Peers.call_tool`.

        Raises:
            PygentError: it cannot be called.
            MCPError: its server's own error.
        """


class Door(Protocol):
    """Tells who calls by another way than HTTP, by the rules that hold there."""

    async def admit(self, authorizations: Sequence[str], path: str) -> Principal | Refusal:
        """Whom these values of `Authorization` let in to what is at a path, or why nobody."""


class Front(Protocol):
    """Something served over HTTP."""

    name: str

    routes: Sequence[BaseRoute]

    paths: Sequence[str]
    """Where it begins, for whoever reads what is served."""

    def running(self, door: Door) -> AbstractAsyncContextManager[None]:
        """Entered before the first request and left after the last."""

    async def check(self) -> Mapping[str, Any]:
        """Whether it works now, for `/health/deep`: `"ok"`, and what was found."""

    def is_open(self, path: str) -> bool:
        """Whether anybody may read that path, without a token."""

    def heeds_roles(self, path: str) -> bool:
        """Whether what is served there asks what its caller's roles allow."""


BuildFront = Callable[[Settings, Tools], Front | None]
"""What the entry-point group holds; None where the settings switch the front off."""
