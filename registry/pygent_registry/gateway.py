"""The front: one MCP server, in both protocol eras, over everything a registry holds.

Thin: it finds the owner of a name in the catalogue, rewrites the name, and passes the request on through the
bridge. Results come back as they are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

from pygent_registry import plain, results
from pygent_registry.bridge import Bridge, is_modern
from pygent_registry.catalogue import Catalogue, Target
from pygent_registry.link import Link, Params
from pygent_registry.policies import Request, caller_of, wrapped
from pygent_registry.registry import Registry
from pygent_registry.search.front import ToolSearch
from pygent_registry.subscriptions import Subscriptions
from pygent_shared.errors import CallerError, PygentError, UnknownName

log = logging.getLogger(__name__)

STATUS_URI = "pygent://servers"
INSTRUCTIONS = (
    "Tools are named server__tool. A server that is down is named in its tools' errors; the others go on. "
    f"Read the resource {STATUS_URI} for the state of every server."
)
GREETINGS = ("initialize", "server/discover", "ping")
# `_meta` keys that belong to one hop: the next hop writes its own.
HOP_KEYS = {
    t.PROTOCOL_VERSION_META_KEY,
    t.CLIENT_INFO_META_KEY,
    t.CLIENT_CAPABILITIES_META_KEY,
    "progressToken",
}

Context = ServerRequestContext[Any, Any]


class Gateway(Server[Any]):
    """One endpoint over a registry.

    Args:
        registry: what it serves.
        only: show this one server, its names without a prefix.
        owner: whether the registry lives and ends with this endpoint (entered once a connection over stdio
            and in memory, once an application over HTTP). False where something else runs the registry.
    """

    def __init__(self, registry: Registry, *, only: str | None = None, owner: bool = True) -> None:
        self._registry = registry
        self._only = only
        self._owner = owner
        self._bridge = Bridge(lambda: registry.tasks)
        self._bus = InMemorySubscriptionBus()
        self._told = ListenHandler(self._bus)
        self._subscriptions = Subscriptions(self._owning_link)
        self._legacy_hosts: dict[int, Any] = {}
        # One server alone is shown as it is.
        self._search = ToolSearch(replace(registry.settings, tools="all") if only else registry.settings)
        self._handle = wrapped(self._relay, registry.policies)
        super().__init__(
            f"pygent-{only}" if only else "pygent",
            version=version("pygent-factory"),
            instructions=INSTRUCTIONS,
            lifespan=lambda _: self._search.around(self._life()),
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_subscribe_resource=self._subscription,
            on_unsubscribe_resource=self._subscription,
            on_completion=self._complete,
            on_subscriptions_listen=self._listen,
        )
        self.add_request_handler("logging/setLevel", t.SetLevelRequestParams, self._set_level)
        self.middleware += [self._first_message, self._straight]

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[None]:
        if not self._owner:
            self._join()
            yield
            self._leave()
            return
        async with self._registry.running():
            self._join()
            yield
            self._leave()

    def _join(self) -> None:
        self._registry.list_changed.append(self._tell_list_changed)
        self._registry.notified.append(self._tell)
        self._registry.ask = self._bridge.asked

    def _leave(self) -> None:
        self._bridge.close()
        self._registry.list_changed.remove(self._tell_list_changed)
        self._registry.notified.remove(self._tell)

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *args: Any, **options: Any
    ) -> Any:
        """The SDK's, with list_changed declared to 2025-era hosts: they are sent it."""
        every = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(notification_options or every, *args, **options)

    async def _first_message(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Servers start with the first message after the greeting, which is not to wait for them. Whoever
        only looks what this is starts none.
        """
        modern = is_modern(ctx.protocol_version)
        if ctx.method not in GREETINGS:
            self._registry.start("auto" if modern else "legacy")
        if ctx.method == "notifications/initialized" and not modern:
            connection = ctx.session._connection
            self._legacy_hosts[id(connection)] = ctx.session
            connection.exit_stack.callback(self._legacy_hosts.pop, id(connection), None)
        return await call_next(ctx)

    async def _straight(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A plain tool call, and a plain result, past the SDK's models: they would change nothing in it."""
        modern, params = is_modern(ctx.protocol_version), ctx.params
        # Without client params there was no handshake, or its envelope is not as it should be.
        known = ctx.session.client_params is not None
        if ctx.method != "tools/call" or not known or not plain.is_call(params, modern=modern):
            return await call_next(ctx)
        assert params is not None
        result = await self._call(ctx, params["name"])
        if not isinstance(result, dict) or not plain.is_result(result):
            return await call_next(replace(ctx, lifespan_context=_Answered(result)))
        if modern:
            stamp = {t.SERVER_INFO_META_KEY: self.server_info_stamp}
            return {**result, "_meta": {**result.get("_meta", {}), **stamp}}
        return {key: value for key, value in result.items() if key != "resultType"}

    # Lists.

    def _catalogue(self, context: Context) -> Catalogue:
        return self._registry.catalogue(modern=is_modern(context.protocol_version), only=self._only)

    async def _settled(self, context: Context) -> Catalogue:
        await self._registry.settled()
        return self._catalogue(context)

    async def _list_tools(self, context: Context, params: object) -> Any:
        return _listed("tools", self._search.shown(await self._settled(context)))

    async def _list_prompts(self, context: Context, params: object) -> Any:
        return _listed("prompts", (await self._settled(context)).prompts)

    async def _list_resources(self, context: Context, params: object) -> Any:
        resources = dict((await self._settled(context)).resources)
        if not self._only:
            resources[STATUS_URI] = _STATUS
        return _listed("resources", resources)

    async def _list_templates(self, context: Context, params: object) -> Any:
        return _listed("resourceTemplates", (await self._settled(context)).templates)

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """For the SDK's check of Mcp-Param-* headers, which exist in the 2026 era only."""
        tool = self._registry.catalogue(modern=True, only=self._only).tools.get(name)
        return tool["inputSchema"] if tool else None

    # Requests with an owner.

    async def _call_tool(self, context: Context, params: t.CallToolRequestParams) -> Any:
        if isinstance(context.lifespan_context, _Answered):
            return context.lifespan_context.result
        return await self._call(context, params.name)

    async def _call(self, context: Context, name: str) -> Any:
        try:
            if not self._search.answers(name):
                return await self._call_by_name(context, name)
            catalogued, relay = partial(self._settled, context), partial(self._call_by_name, context)
            arguments = (context.params or {}).get("arguments")
            return _complete_result(await self._search.call(name, arguments, catalogued, relay))
        except PygentError as error:
            # A result, not a protocol error: the model reads it and can mend it.
            return t.CallToolResult(content=[t.TextContent(text=str(error))], is_error=True)

    async def _call_by_name(
        self, context: Context, name: str, arguments: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Call a tool by its shown name, with the request's own arguments unless others are given."""
        target = await self._target(context, "tool", name)
        definition = self._catalogue(context).tools[name]
        changed = (
            {"name": target.name} if arguments is None else {"name": target.name, "arguments": arguments}
        )
        return await self._pass_on(context, target.server, name, definition, **changed)

    async def _get_prompt(self, context: Context, params: t.GetPromptRequestParams) -> Any:
        with _as_protocol_error():
            target = await self._target(context, "prompt", params.name)
            return await self._pass_on(context, target.server, params.name, name=target.name)

    async def _read_resource(self, context: Context, params: t.ReadResourceRequestParams) -> Any:
        uri = str(params.uri)
        if uri == STATUS_URI and not self._only:
            return self._status()
        with _as_protocol_error({"uri": uri}):
            if uri.startswith(results.URI):
                return _cacheable(self._registry.results.read(caller_of(context), uri))
            return _cacheable(await self._pass_on(context, await self._owner_of(context, uri), uri))

    async def _subscription(self, context: Context, params: Any) -> Any:
        uri = str(params.uri)
        with _as_protocol_error({"uri": uri}):
            return await self._pass_on(context, await self._owner_of(context, uri), uri)

    async def _listen(self, context: Context, params: t.SubscriptionsListenRequestParams) -> Any:
        watched = params.notifications.resource_subscriptions or ()
        async with self._subscriptions.held(context, watched):
            return await self._told(context, params)

    async def _owning_link(self, context: Context, uri: str) -> Link:
        return await self._link(context, await self._owner_of(context, uri))

    async def _complete(self, context: Context, params: t.CompleteRequestParams) -> Any:
        with _as_protocol_error():
            if isinstance(params.ref, t.PromptReference):
                target = await self._target(context, "prompt", params.ref.name)
                reference = {**_params(context)["ref"], "name": target.name}
                return await self._pass_on(context, target.server, params.ref.name, ref=reference)
            owners = (await self._settled(context)).template_owners
            if (template := params.ref.uri) not in owners:
                raise UnknownName("resource template", template, owners)
            return await self._pass_on(context, owners[template], template)

    async def _set_level(self, context: Context, params: t.SetLevelRequestParams) -> Any:
        for downstream in self._registry.downstreams.values():
            for link in downstream.links:
                if not link.modern and link.capabilities and link.capabilities.logging:
                    await link.request("logging/setLevel", _params(context))
        return {}

    async def _pass_on(
        self,
        context: Context,
        server: str,
        shown: str,
        definition: Mapping[str, Any] = MappingProxyType({}),
        /,
        **renamed: Any,
    ) -> dict[str, Any]:
        """Send a request to its owner, with what is called otherwise there renamed."""
        params = {**_params(context), **renamed}
        request = Request(server=server, name=shown, params=params, context=context, definition=definition)
        return _complete_result(await self._handle(request))

    async def _relay(self, request: Request) -> dict[str, Any]:
        """The innermost handler: to the server, and back."""
        link = await self._link(request.context, request.server)
        return await self._bridge.pass_on(link, request.method, request.context, request.params)

    async def _link(self, context: Context, server: str) -> Link:
        return await self._registry.link(server, modern=is_modern(context.protocol_version))

    async def _target(self, context: Context, kind: str, name: str) -> Target:
        """Whose a shown name is; a name that is not there may be of a server that is still coming up."""
        if target := self._targets(context, kind).get(name):
            return target
        await self._registry.settled()
        if name not in self._targets(context, kind) and (server := self._down(name)):
            await self._link(context, server)  # waits for it, or raises what is wrong with it
        targets = self._targets(context, kind)
        if name not in targets:
            if self._only and self._only not in self._registry.downstreams:
                raise UnknownName("server", self._only, self._registry.downstreams)
            self._registry.refuse_withheld(kind, name, only=self._only)
            raise UnknownName(kind, name, targets, "List what there is: pygent list")
        return targets[name]

    def _targets(self, context: Context, kind: str) -> Mapping[str, Target]:
        catalogue = self._catalogue(context)
        return catalogue.tool_targets if kind == "tool" else catalogue.prompt_targets

    def _down(self, name: str) -> str | None:
        """The server that is not up and whose prefix a name begins with."""
        for server, item in self._registry.downstreams.items():
            if self._only not in (None, server):
                continue
            prefix = "" if self._only else item.entry.shown_prefix
            if item.primary.state != "ready" and name.startswith(f"{prefix}__" if prefix else ""):
                return server
        return None

    async def _owner_of(self, context: Context, uri: str) -> str:
        if owner := _owner_in(await self._settled(context), uri):
            return owner
        # What is remembered of a server may lack what it has by now.
        await self._registry.settled(recalled=False)
        catalogue = self._catalogue(context)
        if owner := _owner_in(catalogue, uri):
            return owner
        self._registry.refuse_withheld("resource", uri)
        raise UnknownName("resource", uri, catalogue.resource_owners)

    def _status(self) -> Any:
        text = json.dumps(self._registry.report(), indent=2)
        contents = [{"uri": STATUS_URI, "mimeType": "application/json", "text": text}]
        return _cacheable({"contents": contents})

    # What servers say by themselves.

    async def _tell_list_changed(self, kind: str, servers: set[str], modern: bool) -> None:
        if self._only and self._only not in servers:
            return
        if modern:
            self._search.notice(self._registry.catalogue(modern=True, only=self._only))
            await self._bus.publish(_CHANGES[kind]())
            return
        for session in list(self._legacy_hosts.values()):
            send = {
                "tools": session.send_tool_list_changed,
                "prompts": session.send_prompt_list_changed,
            }.get(kind, session.send_resource_list_changed)
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # that host has gone
                await send()

    async def _tell(self, link: Link, message: Any) -> None:
        if isinstance(message, t.ResourceUpdatedNotification):
            await self._bus.publish(ResourceUpdated(uri=str(message.params.uri)))
            for session in list(self._legacy_hosts.values()):
                await session.send_resource_updated(str(message.params.uri))
        elif isinstance(message, t.LoggingMessageNotification) and link.calls:
            context = link.calls[-1].context
            await context.session.send_log_message(
                message.params.level,
                message.params.data,
                message.params.logger,
                related_request_id=context.request_id,
            )


_CHANGES: dict[str, Callable[[], ToolsListChanged | PromptsListChanged | ResourcesListChanged]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}
_STATUS = {
    "uri": STATUS_URI,
    "name": "servers",
    "description": "The state of every server behind this endpoint: up or not, why not, how many tools.",
    "mimeType": "application/json",
}


@dataclass(frozen=True)
class _Answered:
    """The result of a call that was made already, for the SDK to bring into shape."""

    result: Any


@contextmanager
def _as_protocol_error(data: dict[str, Any] | None = None) -> Iterator[None]:
    """What we raise on purpose becomes the protocol's error, where there is no tool result to say it in."""
    try:
        yield
    except CallerError as error:
        raise MCPError(t.INVALID_PARAMS, str(error), data) from error
    except PygentError as error:
        raise MCPError(t.INTERNAL_ERROR, str(error), data) from error


def _params(context: Context) -> Params:
    """A request's params as they came, without what belongs to the hop they came over."""
    params = dict(context.params or {})
    meta = {key: value for key, value in (params.pop("_meta", None) or {}).items() if key not in HOP_KEYS}
    return {**params, "_meta": meta} if meta else params


def _complete_result(result: dict[str, Any]) -> dict[str, Any]:
    """A raw result with what the 2026 wire requires; the SDK takes it off again for older hosts."""
    whole = {"resultType": "complete", **result}
    meta = whole.get("_meta")
    if isinstance(meta, dict) and t.SERVER_INFO_META_KEY in meta:
        whole["_meta"] = {key: value for key, value in meta.items() if key != t.SERVER_INFO_META_KEY}
    return whole


def _cacheable(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("resultType") == "input_required":
        return result
    return {"ttlMs": 0, "cacheScope": "private", **_complete_result(result)}


def _listed(key: str, definitions: Mapping[str, Any]) -> dict[str, Any]:
    return _cacheable({key: list(definitions.values())})


def _owner_in(catalogue: Catalogue, uri: str) -> str | None:
    """The server whose resource, or template, a URI is."""
    if owner := catalogue.resource_owners.get(uri):
        return owner
    owners = catalogue.template_owners.items()
    return next((owner for template, owner in owners if _matches(template, uri)), None)


def _matches(template: str, uri: str) -> bool:
    try:
        return UriTemplate.parse(template).match(uri) is not None
    except (InvalidUriTemplate, ValueError):
        return False
