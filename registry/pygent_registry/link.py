"""One supervised connection to one server: a task owns it, restarts it, and nothing escapes that task.

Requests travel raw: a message is parsed once, by `wire.py` or by the SDK's dispatcher, and passed on as it
is, so fields we do not know survive. Three private parts of the SDK are used for that, all in `_send` and
`Link._list`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import mcp.types as t
from mcp import Client, MCPError
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.inbound import x_mcp_header_map
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from pygent_registry import faults, health
from pygent_registry.catalogue import Definition, Listing
from pygent_registry.config import Entry
from pygent_registry.process import KEPT_STDERR_LINES, Output, cpu_seconds
from pygent_registry.wire import Progress, Wire
from pygent_shared.errors import ConnectionLost, PygentError, ServerUnavailable
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

Mode = Literal["auto", "legacy"]
Params = dict[str, Any]

# A server that was up is waited for while its next start is no further away than this.
SHORT_DELAY = 1.0
# Processor time that tells a server that is starting from one that hangs.
WORKING_SECONDS = 0.05
UNREACHABLE = -31001
"""A JSON-RPC error code of our own, never sent on: an HTTP server could not be reached for this request."""
# What SDKs say of an HTTP session that the server has forgotten, which a restart does.
SESSION_FORGOTTEN = ("Session terminated", "Session not found")
MOST_PAGES = 100
# A server's notices of change within this time of each other have it listed again once.
NOTICES_SECONDS = 0.1

# All are listed again after any of these.
LIST_NOTICES = (
    t.ToolListChangedNotification,
    t.PromptListChangedNotification,
    t.ResourceListChangedNotification,
)
_LISTS = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}


@dataclass(kw_only=True)
class Events:
    """What a link tells the registry. Each is called on the event loop, and must not block."""

    changed: Callable[[], None]
    """The link's state or listing changed."""
    notified: Callable[[Any], Awaitable[None]]
    """Any other notification (log message, resource updated)."""
    asked: Callable[[str, Any], Awaitable[Any]]
    """A legacy server asks for sampling, elicitation or roots: (method, params) -> result or ErrorData."""


@dataclass(kw_only=True)
class Link:
    """A connection to `entry`'s server in one mode, kept up by `run`."""

    entry: Entry
    settings: Settings
    mode: Mode
    connect: Callable[[Output], Any]
    """Gives the SDK's `Client` what it talks through."""
    events: Events
    state: health.State = "idle"
    why: str = ""
    """Why it is not ready, in a clause."""
    cure: str = ""
    """What to type about it."""
    modern: bool = False
    """Whether this connection speaks the 2026 era, as last negotiated."""
    only_modern: bool = False
    """Whether the server refused the handshake of the 2025 era, and names the 2026 one."""
    starts: int = 0
    output: Output = field(default_factory=Output)
    listing: Listing | None = None
    calls: list[Any] = field(default_factory=list)
    """Requests of hosts in flight, newest last: a legacy server's question belongs to one of these."""
    _delay: float = health.FIRST_DELAY
    _cpu_seconds: float = 0.0
    _client: Client | None = None
    _complained: str = ""
    _stale: bool = False
    _past: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_STDERR_LINES))
    _news: anyio.Event = field(default_factory=anyio.Event)
    _stop: anyio.Event = field(default_factory=anyio.Event)

    @property
    def settled(self) -> bool:
        """Whether it is up, or has failed at least once."""
        return self.starts > 1 or self.state in ("ready", "waiting", "stopped")

    @property
    def capabilities(self) -> t.ServerCapabilities | None:
        return self._client.server_capabilities if self._client else None

    @property
    def log(self) -> list[str]:
        """The last lines it wrote to stderr, those of earlier lives included."""
        return [*self._past, *self.output.stderr][-KEPT_STDERR_LINES:]

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    async def run(self) -> None:
        """Own the connection until `stop`: start it, hold it, start it again when it ends."""
        self._move("start")
        while not self._stop.is_set():
            mode = self.mode
            ready_at = await self._live()
            if self._stop.is_set():
                break
            if self.mode != mode:
                continue  # it speaks the other era only: the same start, in that one
            ended = anyio.current_time()
            self._move("failed" if self.state == "starting" else "lost")
            self._complain()
            with anyio.move_on_after(self._delay):
                await self._stop.wait()
            if self._stop.is_set():
                break
            self._delay = health.next_delay(self._delay, ended - ready_at if ready_at else 0.0)
            self._move("retry")
        self._move("stop")

    async def request(
        self,
        method: str,
        params: Params,
        *,
        progress: Progress | None = None,
        capabilities: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the raw result.

        Args:
            method: as on the wire.
            params: as on the wire, without the SDK's own `_meta` keys.
            progress: gets the server's progress; each report also extends the time limit.
            capabilities: the host's, for a modern server.

        Raises:
            MCPError: the server's own error, unchanged.
            ServerUnavailable: it is down, went down meanwhile, or did not answer in time.
        """
        client = await self.client()
        tool = params["name"] if method == "tools/call" else None
        limit = self.entry.patience(tool) or self.settings.call_timeout
        with anyio.move_on_after(limit) as scope:
            try:
                report = _extending(scope, limit, progress)
                return await _send(client, method, params, report, capabilities, self.output.wire)
            except MCPError as error:
                if error.error.code == UNREACHABLE:
                    raise self._unavailable(error.error.message) from error
                if not _is_over(error):
                    raise
                self._give_up_on(client)
                await self._last_words()
                raise self._unavailable(f"went away during {method}", ConnectionLost) from error
            except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
                self._give_up_on(client)
                raise self._unavailable(f"went away during {method}", ConnectionLost) from error
        raise ServerUnavailable(
            self.entry.name,
            f"gave no answer to {method} and no progress for {limit:g} s",
            f'Allow it more: "timeout": {limit * 4:g} in its entry of the config file',
        )

    async def client(self) -> Client:
        """The live client. A server that is starting, or was up and soon will be again, is waited for.

        Raises:
            ServerUnavailable: there is none.
        """
        if self._client is not None:
            return self._client
        with anyio.move_on_after(self._start_limit()):
            while self._client is None and self._may_come():
                await self._news.wait()
        if self._client is None:
            raise self._unavailable(self.why or "is still starting")
        return self._client

    def _give_up_on(self, client: Client) -> None:
        """No later call may be given a connection that was found dead; `run` replaces it."""
        if self._client is client:
            self._client = None
            self.output.ended.set()

    def _start_limit(self) -> float:
        return self.entry.start_timeout or self.settings.start_timeout

    def _may_come(self) -> bool:
        if self.state == "waiting":
            return self.listing is not None and self._delay <= SHORT_DELAY
        return self.state != "stopped"

    def is_working(self) -> bool:
        """Whether it is starting and has used the processor since this was last asked."""
        if self.state != "starting" or self.output.pid is None:
            return False
        before, self._cpu_seconds = self._cpu_seconds, cpu_seconds(self.output.pid) or 0.0
        return self._cpu_seconds - before > WORKING_SECONDS

    def _unavailable(self, why: str, kind: type[ServerUnavailable] = ServerUnavailable) -> ServerUnavailable:
        words = self.output.last_words()
        whole = f"{why}; {words}" if words and words not in why else why
        return kind(self.entry.name, whole, self.cure or "Check it: pygent doctor")

    def _complain(self) -> None:
        """Once for each reason: a server that keeps failing alike says so once."""
        level = logging.DEBUG if self.why == self._complained else logging.WARNING
        log.log(level, 'Server "%s" %s. %s', self.entry.name, self.why, self.cure)
        self._complained = self.why

    def _move(self, event: health.Event) -> None:
        self.state = health.after(self.state, event)
        if event in ("start", "retry"):
            self.starts += 1
        news, self._news = self._news, anyio.Event()
        news.set()
        self.events.changed()

    async def _live(self) -> float | None:
        """One life of the connection. Returns when it became ready, or None; `why` says how it ended."""
        self._past.extend(self.output.stderr)
        self.output, ready_at = Output(), None
        timed_out = False

        async def give_up(scope: anyio.CancelScope) -> None:
            nonlocal timed_out
            await anyio.sleep(self._start_limit())
            if self._client is None:
                timed_out = True
                scope.cancel()

        try:
            async with anyio.create_task_group() as life:
                life.start_soon(give_up, life.cancel_scope)
                life.start_soon(self._cancel_on_stop, life.cancel_scope)
                async with self._connected() as client:
                    self.modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
                    self.listing = await self._list(client)
                    self._client, ready_at, self.why = client, anyio.current_time(), ""
                    if self.output.wire is not None:
                        self.output.wire.logged = self._logged
                    self._move("up")
                    life.start_soon(self._listen, client)
                    await self.output.ended.wait()
                life.cancel_scope.cancel()
        except* (OSError, PygentError, MCPError, RuntimeError, ValueError, ImportError) as errors:
            self.why = faults.why(errors)
            if faults.is_only_modern(errors):
                self.only_modern, self.mode = True, "auto"
        except* (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream):
            self.why = "closed the connection"
        except* Exception as errors:
            # Whatever it is, it costs this server only. Ours to mend, so the log gets the traceback.
            log.exception('Server "%s" failed in a way that is not foreseen', self.entry.name)
            self.why = faults.why(errors)
        finally:
            self._client = None
        if timed_out:
            self.why = f"did not answer initialize within {self._start_limit():g} s"
        elif ready_at and not self.why:
            self.why = "went away"
        words = self.output.last_words()
        self.why = f"{self.why}; {words}" if words else self.why
        self.cure = faults.cure(self.entry, self.why, self.output, timed_out=timed_out)
        return ready_at

    async def _cancel_on_stop(self, scope: anyio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        async with Client(
            self.connect(self.output),
            mode=self.mode,
            cache=None,
            client_info=t.Implementation(name="pygent", version=""),
            sampling_callback=self._asker("sampling/createMessage"),
            sampling_capabilities=t.SamplingCapability(tools=t.SamplingToolsCapability()),
            elicitation_callback=self._asker("elicitation/create"),
            list_roots_callback=self._roots,
            message_handler=self._notified,
        ) as client:
            yield client

    async def _last_words(self) -> None:
        """Give a dying child a moment to be reaped, so that the error can say how it ended."""
        with anyio.move_on_after(0.3):
            while self.output.pid is not None and self.output.status is None:
                await anyio.sleep(0.01)

    # What it offers.

    async def _list(self, client: Client) -> Listing:
        found = {
            key: await self._all(client, key) for key in _LISTS if _offers(client.server_capabilities, key)
        }
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            # Raw listings pass the SDK's session by, so its map of Mcp-Param-* headers is filled here.
            client.session._x_mcp_header_maps = {
                tool["name"]: x_mcp_header_map(tool.get("inputSchema") or {})
                for tool in found.get("tools", [])
            }
        return Listing(
            server=self.entry.name,
            prefix=self.entry.shown_prefix,
            tools=tuple(found.get("tools", ())),
            prompts=tuple(found.get("prompts", ())),
            resources=tuple(found.get("resources", ())),
            templates=tuple(found.get("resourceTemplates", ())),
            instructions=client.instructions or "",
        )

    async def _all(self, client: Client, key: str) -> list[Definition]:
        items: list[Definition] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            try:
                page = await _send(client, _LISTS[key], {"cursor": cursor} if cursor else {}, None, None)
            except MCPError as error:
                if error.error.code == t.METHOD_NOT_FOUND:
                    break
                raise
            items += page.get(key, [])
            if not (cursor := page.get("nextCursor")):
                break
        return items

    async def _refresh(self, client: Client) -> None:
        """List again, once for all notices that come within a moment."""
        if self._stale:
            return
        self._stale = True
        await anyio.sleep(NOTICES_SECONDS)
        self._stale = False
        if self._client is not client:  # it ended meanwhile; its next start lists again
            return
        try:
            self.listing = await self._list(client)
        except MCPError as error:
            log.warning('Server "%s" could not list again what it offers: %s', self.entry.name, error)
            return
        self.events.changed()

    # What it says.

    async def _listen(self, client: Client) -> None:
        """Change notices of a modern server; a legacy one sends them by itself."""
        offers = client.server_capabilities
        tools = bool(offers.tools and offers.tools.list_changed)
        prompts = bool(offers.prompts and offers.prompts.list_changed)
        resources = bool(offers.resources and offers.resources.list_changed)
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools or prompts or resources):
            return
        while self._client is client:
            try:
                async with client.listen(
                    tools_list_changed=tools, prompts_list_changed=prompts, resources_list_changed=resources
                ) as events:
                    async for _ in events:
                        await self._refresh(client)
            except ListenNotSupportedError:
                return
            except (MCPError, SubscriptionLost, TimeoutError) as error:
                log.info("%s: the stream of change notices ended: %s", self.entry.name, error)
            await anyio.sleep(1)

    async def _notified(self, message: Any) -> None:
        if isinstance(message, anyio.ClosedResourceError | anyio.BrokenResourceError):
            self.output.ended.set()
        elif not isinstance(message, LIST_NOTICES):
            await self.events.notified(message)
        elif self._client is not None and not self.modern:
            await self._refresh(self._client)

    async def _logged(self, message: dict[str, Any]) -> None:
        await self.events.notified(t.LoggingMessageNotification.model_validate(message, by_name=False))

    def _asker(self, method: str) -> Any:
        async def asked(context: object, params: Any) -> Any:
            return await self.events.asked(method, params)

        return asked

    async def _roots(self, context: object) -> Any:
        return await self.events.asked("roots/list", None)


async def _send(
    client: Client,
    method: str,
    params: Params,
    progress: Progress | None,
    capabilities: dict[str, Any] | None,
    wire: Wire | None = None,
) -> dict[str, Any]:
    """One raw request: the SDK's stamp for the era, our params, over the wire or else its dispatcher."""
    session = client.session
    data: dict[str, Any] = {"method": method, "params": {**params}}
    if meta := params.get("_meta"):
        data["params"]["_meta"] = {**meta}
    options: Any = {} if progress is None else {"on_progress": progress}
    session._stamp(data, options)
    if capabilities is not None and client.protocol_version in MODERN_PROTOCOL_VERSIONS:
        data["params"]["_meta"][t.CLIENT_CAPABILITIES_META_KEY] = capabilities
    if wire is not None:
        return await wire.request(method, data["params"], progress)
    return await session._dispatcher.send_raw_request(method, data["params"], options)


def _is_over(error: MCPError) -> bool:
    """Whether an error means that this connection will never answer again."""
    return error.error.code == t.CONNECTION_CLOSED or error.error.message in SESSION_FORGOTTEN


def _extending(scope: anyio.CancelScope, limit: float, progress: Progress | None) -> Progress:
    """Progress that also pushes the time limit on: whoever reports is not stuck."""

    async def report(done: float, total: float | None, message: str | None) -> None:
        scope.deadline = anyio.current_time() + limit
        if progress is not None:
            await progress(done, total, message)

    return report


def _offers(capabilities: t.ServerCapabilities, key: str) -> bool:
    offered = {"tools": capabilities.tools, "prompts": capabilities.prompts}.get(key, capabilities.resources)
    return offered is not None
