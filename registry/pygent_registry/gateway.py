"""The front: one MCP server, in both protocol eras, over everything a registry holds.

Thin: it finds the owner of a name in the catalogue, rewrites the name, and passes the request on through the
bridge. Results come back as they are.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import mcp.types as t
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.subscriptions import ListenHandler

from pygent_registry import plain, results, status
from pygent_registry.audience import Audience
from pygent_registry.bridge import Bridge
from pygent_registry.catalogue import Definition
from pygent_registry.envelope import cacheable, complete, listed, params_of
from pygent_registry.era import is_modern
from pygent_registry.owners import Owners
from pygent_registry.policies import Request, caller_of, wrapped
from pygent_registry.policies.refusal import Owner, owned
from pygent_registry.registry import Registry
from pygent_registry.roles import role_of
from pygent_registry.search.front import ToolSearch
from pygent_registry.status import OWN, STATUS_URI
from pygent_shared.errors import CallerError, PygentError
from pygent_shared.http.identity import Principal
from pygent_shared.tasks import wire as tasks
from pygent_shared.traces import traced

log = logging.getLogger(__name__)

INSTRUCTIONS = (
    "Tools are named server__tool. A server that is down is named in its tools' errors; the others go on. "
    f"Read the resource {STATUS_URI} for the state of every server."
)
GREETINGS = ("initialize", "server/discover", "ping")

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
        self._owners = Owners(registry, only)
        self._audience = Audience(registry.levels)
        self._listeners = ListenHandler(self._audience.bus)
        self._bridge = Bridge(registry, self._audience)
        # One server alone is shown as it is.
        self._search = ToolSearch(replace(registry.settings, tools="all") if only else registry.settings)
        # The tools that hosts of each era have been shown, or told about, last.
        self._shown: dict[bool, Mapping[str, Definition]] = {}
        self._handle = wrapped(self._relay, registry.policies)
        super().__init__(
            f"pygent-{only}" if only else "pygent",
            version=version("pygent-factory"),
            instructions=INSTRUCTIONS,
            lifespan=lambda _: self._search.around(self._life()),
            get_tool_input_schema=self._owners.input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_subscribe_resource=self._subscribe,
            on_unsubscribe_resource=self._unsubscribe,
            on_completion=self._complete,
            on_subscriptions_listen=self._listen,
        )
        self.add_request_handler("logging/setLevel", t.SetLevelRequestParams, self._set_level)
        self.extensions[tasks.EXTENSION] = {}
        for method, params in tasks.PARAMS.items():
            self.add_request_handler(method, params, self._task)
        traced(self.middleware)
        self.middleware += [self._first_message, self._straight]

    def binds(self, principal: Principal) -> bool:
        """Whether a caller is bound to roles: it is shown, and may call, what they allow."""
        return role_of(principal, self._registry.config.roles) is not None

    def http_options(self) -> dict[str, Any]:
        """What an HTTP front shows of the registry: for `build_app`."""
        from pygent_registry.seen import http_options

        return http_options(self._registry)

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
        self._registry.announcements.fronts.append(self._tell_list_changed)
        self._registry.notified.append(self._audience.tell)
        self._registry.ask = self._bridge.asked
        self._registry.parked.append(self._bridge.waiting)

    def _leave(self) -> None:
        self._bridge.close()
        self._registry.announcements.fronts.remove(self._tell_list_changed)
        self._registry.notified.remove(self._audience.tell)
        self._registry.parked.remove(self._bridge.waiting)

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
            self._audience.join(ctx)
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

    async def _list_tools(self, context: Context, params: object) -> Any:
        shown = self._search.shown(await self._owners.settled(context))
        self._shown.setdefault(is_modern(context.protocol_version), shown)
        return self._listed("tools", shown)

    async def _list_prompts(self, context: Context, params: object) -> Any:
        return self._listed("prompts", (await self._owners.settled(context)).prompts)

    async def _list_resources(self, context: Context, params: object) -> Any:
        resources = dict((await self._owners.settled(context)).resources)
        if not self._only:
            resources[STATUS_URI] = status.RESOURCE
        return self._listed("resources", resources)

    async def _list_templates(self, context: Context, params: object) -> Any:
        return self._listed("resourceTemplates", (await self._owners.settled(context)).templates)

    def _listed(self, key: str, definitions: Mapping[str, Definition]) -> dict[str, Any]:
        return listed(key, definitions, filtered=bool(self._registry.config.roles))

    # Requests with an owner.

    async def _call_tool(self, context: Context, params: t.CallToolRequestParams) -> Any:
        if isinstance(context.lifespan_context, _Answered):
            return context.lifespan_context.result
        return await self._call(context, params.name)

    async def _call(self, context: Context, name: str) -> Any:
        try:
            if not self._search.answers(name):
                return await self._call_by_name(context, name)
            catalogued, relay = partial(self._owners.settled, context), partial(self._call_by_name, context)
            arguments = (context.params or {}).get("arguments")
            return complete(await self._search.call(name, arguments, catalogued, relay))
        except PygentError as error:
            # A result, not a protocol error: the model reads it and can mend it.
            return t.CallToolResult(content=[t.TextContent(text=str(error))], is_error=True)

    async def _call_by_name(
        self, context: Context, name: str, arguments: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Call a tool by its shown name, with the request's own arguments unless others are given."""
        target, definition = await self._find(context, name, self._owners.tool(context, name))
        changed = (
            {"name": target.name} if arguments is None else {"name": target.name, "arguments": arguments}
        )
        return await self._pass_on(context, target.server, name, definition, **changed)

    async def _get_prompt(self, context: Context, params: t.GetPromptRequestParams) -> Any:
        with _as_protocol_error():
            target = await self._find(context, params.name, self._owners.prompt(context, params.name))
            return await self._pass_on(context, target.server, params.name, name=target.name)

    async def _read_resource(self, context: Context, params: t.ReadResourceRequestParams) -> Any:
        uri = str(params.uri)
        if uri == STATUS_URI and not self._only:
            return status.read(self._registry, self._owners.role(context))
        with _as_protocol_error({"uri": uri}):
            if uri.startswith(results.URI):
                return cacheable(self._registry.results.read(caller_of(context), uri))
            target = await self._find(context, uri, self._owners.resource(context, uri))
            return cacheable(await self._pass_on(context, target.server, uri, uri=target.name))

    async def _subscribe(self, context: Context, params: Any) -> Any:
        uri = str(params.uri)
        with _as_protocol_error({"uri": uri}):
            target = await self._owners.resource(context, uri)
            return await self._pass_on(context, target.server, uri, uri=target.name)

    async def _unsubscribe(self, context: Context, params: Any) -> Any:
        await self._audience.subscriptions.leave(context, str(params.uri))
        return {}

    async def _listen(self, context: Context, params: t.SubscriptionsListenRequestParams) -> Any:
        wanted = params.notifications.resource_subscriptions or []
        uris = [uri for uri in wanted if not uri.startswith(OWN)]
        with _as_protocol_error():
            owners = {uri: await self._owners.resource(context, uri) for uri in uris}
            links = {uri: await self._owners.link(context, owner.server) for uri, owner in owners.items()}
            async with self._audience.subscriptions.held(links, self._tasks()):
                return await self._listeners(context, params)

    def _tasks(self) -> TaskGroup:
        assert self._registry.tasks is not None, "a request came outside of the registry's life"
        return self._registry.tasks

    async def _complete(self, context: Context, params: t.CompleteRequestParams) -> Any:
        with _as_protocol_error():
            if isinstance(params.ref, t.PromptReference):
                target = await self._owners.prompt(context, params.ref.name)
                reference = {**params_of(context)["ref"], "name": target.name}
                return await self._pass_on(context, target.server, params.ref.name, ref=reference)
            owner = await self._owners.template(context, params.ref.uri)
            return await self._pass_on(context, owner, params.ref.uri)

    async def _task(self, context: Context, params: tasks.TaskParams) -> Any:
        """What a host asks about one of its tasks."""
        if not is_modern(context.protocol_version):
            raise MCPError(t.METHOD_NOT_FOUND, "Method not found", context.method)
        tasks.check(context, params)
        target = self._bridge.tasks.meant(context, params.task_id, self._only)
        with _as_protocol_error():
            shown = f"task …{target.name[-8:]}"
            return await self._pass_on(context, target.server, shown, taskId=target.name)

    async def _set_level(self, context: Context, params: t.SetLevelRequestParams) -> Any:
        self._registry.levels.set(context, params.level)
        await self._registry.set_level()
        return {}

    async def _find(self, context: Context, name: str, finding: Awaitable[Owner]) -> Owner:
        return await owned(finding, name, context, self._registry.recording)

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
        params = {**params_of(context), **renamed}
        request = Request(server=server, name=shown, params=params, context=context, definition=definition)
        return complete(await self._handle(request))

    async def _relay(self, request: Request) -> dict[str, Any]:
        """The innermost handler: to the server, and back."""
        link = await self._owners.link(request.context, request.server)
        if request.method == "resources/subscribe":
            await self._audience.subscriptions.join(request.context, link, request.name, self._tasks())
            return {}
        return await self._bridge.pass_on(link, request.method, request.context, request.params)

    # What servers say by themselves.

    async def _tell_list_changed(self, kind: str, servers: set[str], modern: bool) -> None:
        if self._only and self._only not in servers:
            return
        if kind == "tools":
            shown = self._search.shown(self._registry.catalogue(modern=modern, only=self._only))
            if shown == self._shown.get(modern):
                return  # in search mode most of what changes is not in the list
            self._shown[modern] = shown
        await self._audience.tell_list_changed(kind, modern=modern)


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
