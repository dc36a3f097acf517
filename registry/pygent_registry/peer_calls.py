"""Calls that no host makes: those of our own servers to each other, of fronts, and `pygent call`.

They go the way of every call, through the policies, as calls of a 2026-era host without a model to lend; and
without a user to ask, unless the call says that there is one (`asking`): then approvals, and what servers of
the 2026 era ask, come back as questions. Only their results are not cut: programs read them, and no model. A
call that one of our servers makes while it serves a host reaches what that host may reach, and nothing else;
so does one that it makes later, for what that host began (`pygent_shared.caller.acting_for`), and a front's
for whoever called it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.transport_context import TransportContext
from mcp.types.version import LATEST_MODERN_VERSION

from pygent_registry.asking import Asking
from pygent_registry.calls import ON_BEHALF_OF
from pygent_registry.catalogue import Catalogue
from pygent_registry.policies import Request, principal_in, wrapped
from pygent_registry.policies.refusal import owned
from pygent_registry.roles import Role, permitted, role_of
from pygent_registry.wire import Progress
from pygent_shared import traces
from pygent_shared.caller import acting
from pygent_shared.errors import UnknownName
from pygent_shared.http.identity import IN_SCOPE, Principal
from pygent_shared.http.keys import today

if TYPE_CHECKING:
    from pygent_registry.registry import Registry

_USER: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}}
"""What a caller declares behind whom there is a user."""
PEERS = "peers"
"""Who our own servers are, for limits and in the record of calls."""


class PeerCalls:
    """Calls the tools of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._asking = Asking(registry)
        self._handle = wrapped(self._relay, registry.policies)

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        by: str = PEERS,
        progress: Progress | None = None,
        caller: Principal | None = None,
        meta: Mapping[str, Any] = MappingProxyType({}),
        asking: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The raw result of the tool of a shown name; `caller` is whom a front calls for, `meta` the `_meta`
        that goes with it, `asking` that of `pygent_shared.peers`.

        Raises:
            UnknownName, NotApproved: there is none, or it is withheld.
            MCPError: its server's own error.
            PygentError: what a policy refuses; ServerUnavailable among them.
        """
        meta = {**traces.onward(), **meta}
        asks = asking is not None
        context = _context({"name": name, "arguments": arguments}, by, progress, caller, asks=asks)
        by = "" if caller else by
        catalogue = await owned(self._holding(name, caller), name, context, self._registry.recording, by)
        target = catalogue.tool_targets[name]
        request = Request(
            server=target.server,
            name=name,
            params={
                "name": target.name,
                "arguments": arguments,
                **(asking or {}),
                **({"_meta": meta} if meta else {}),
            },
            context=context,
            definition=catalogue.tools[name],
            by=by,
        )
        return await self._handle(request)

    async def tools(self) -> list[dict[str, Any]]:
        """The definitions of the tools that may be called, under their shown names."""
        await self._registry.settled()
        catalogue = permitted(self._registry.catalogue(modern=True), self._role())
        return [dict(definition) for definition in catalogue.tools.values()]

    async def _holding(self, name: str, caller: Principal | None) -> Catalogue:
        """A catalogue that has the name, and shows it to the caller."""
        await self._registry.settled()
        if name not in self._registry.catalogue(modern=True).tool_targets:
            await self._registry.settled(recalled=False)  # what is remembered may lack what there is by now
        role = self._role(caller)
        catalogue = permitted(self._registry.catalogue(modern=True), role)
        if name not in catalogue.tool_targets:
            if role is None:
                self._registry.refuse_withheld("tool", name)
            raise UnknownName("tool", name, catalogue.tool_targets)
        return catalogue

    def _role(self, caller: Principal | None = None) -> Role | None:
        """What the host is bound to for whom the server is working that calls; None without such a host."""
        roles = self._registry.config.roles
        if caller is not None:
            return role_of(caller, roles)
        if (work := acting()) is not None:
            principal = work.principal and today(work.principal, self._registry.settings)
            return role_of(principal, roles)
        call = ON_BEHALF_OF.get()
        return None if call is None else role_of(principal_in(call.context), roles)

    async def _relay(self, request: Request) -> dict[str, Any]:
        link = await self._registry.link(request.server, modern=True)
        session = request.context.session
        declared = session.client_capabilities
        result = await link.request(
            request.method,
            request.params,
            progress=session.report_progress,
            capabilities=declared.model_dump(by_alias=True, exclude_none=True) if declared else {},
        )
        if declared and declared.elicitation and (asked := result.get("inputRequests")):
            admitted = {key: self._asking.admitted(link, request.context, one) for key, one in asked.items()}
            result = {**result, "inputRequests": admitted}
        return result


@dataclass(frozen=True)
class _Brought:
    """The part of a request over HTTP that tells who sent it."""

    scope: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Exchange:
    """The SDK's `DispatchContext` of a call that nothing can be asked on."""

    transport: TransportContext
    on_progress: Progress | None
    request_id: None = None
    message_metadata: None = None
    can_send_request: bool = False
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Nobody listens."""

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.on_progress is not None:
            await self.on_progress(progress, total, message)


def _context(
    params: dict[str, Any], by: str, progress: Progress | None, caller: Principal | None, *, asks: bool
) -> ServerRequestContext[Any, Any]:
    who = {"name": by, "version": version("pygent-factory")}
    connection = Connection.from_envelope(LATEST_MODERN_VERSION, who, _USER if asks else {})
    exchange = _Exchange(TransportContext(kind="in-process", can_send_request=False), progress)
    return ServerRequestContext(
        session=ServerSession(exchange, connection),
        lifespan_context=None,
        protocol_version=LATEST_MODERN_VERSION,
        method="tools/call",
        params=params,
        request=_Brought({IN_SCOPE: caller}) if caller else None,
    )
