"""One life of a connection to a server: its start, the requests of that time, and how it ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import anyio
import mcp.types as t
from mcp import Client, MCPError

from pygent_registry import faults, raw
from pygent_registry.catalogue import Listing
from pygent_registry.clock import Clock
from pygent_registry.entry import Entry
from pygent_registry.offer import NOTICES, Offer
from pygent_registry.output import Output
from pygent_registry.pulse import Effort, Pulse, Unreachable
from pygent_registry.voice import Events, Voice
from pygent_registry.wire import Progress
from pygent_shared.errors import ConnectionLost, NotApproved, PygentError, ServerUnavailable
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

Mode = Literal["auto", "legacy"]

# A start that takes longer than its limit goes on in the background until so many times that.
BACKGROUND_TIMES = 10


class Forgotten(ConnectionLost):
    """The server no longer knew the session, so it has not carried the request out."""


class Owner(Protocol):
    """Whose life it is: told what happens in it."""

    def came_up(self, life: Life, listing: Listing) -> None: ...
    def is_late(self, why: str, cure: str) -> None: ...
    def listed_again(self, listing: Listing) -> None: ...
    def doubted(self, about: str, why: str) -> None: ...
    def recovered(self, about: str) -> None: ...


@dataclass(kw_only=True, eq=False)
class Life:
    """A connection to `entry`'s server in one mode, once."""

    entry: Entry
    settings: Settings
    mode: Mode
    connect: Callable[[Output], Any]
    """Gives the SDK's `Client` what it talks through."""
    events: Events
    owner: Owner
    output: Output
    client: Client | None = None
    up_at: float | None = None
    why: str = ""
    """How it ended, in a clause."""
    cure: str = ""
    """What to type about it."""
    only_modern: bool = False
    """Whether it ended because the server speaks the 2026 era only."""
    refused: bool = False
    """Whether it was not started at all, because nobody approved how."""
    stopping: anyio.Event = field(default_factory=anyio.Event)
    stopped_for: Literal["", "removed", "edited"] = ""
    """What became of its entry in the config, if that is why it is stopped."""
    _offer: Offer | None = None
    _pulse: Pulse | None = None
    _timed_out: bool = False
    _voice: Voice = field(init=False)

    def __post_init__(self) -> None:
        self._voice = Voice(events=self.events, output=self.output)

    @property
    def is_up(self) -> bool:
        return self.client is not None and not self.output.ended.is_set()

    @property
    def start_limit(self) -> float:
        """Seconds that it may take to start before nobody waits for it."""
        return self.entry.start_timeout or self.settings.start_timeout

    async def run(self) -> None:
        """Start it, and hold it until it ends; `why` then says how."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._limit_start, tasks.cancel_scope)
                tasks.start_soon(self._cancel_when_stopped, tasks.cancel_scope)
                async with self._connected() as client:
                    offer = self._offer = Offer(
                        entry=self.entry,
                        client=client,
                        ended=self.output.ended,
                        changed=self.owner.listed_again,
                        doubted=lambda why: self.owner.doubted("lists", why),
                        recovered=lambda: self.owner.recovered("lists"),
                        patience=self.start_limit,
                    )
                    listing = await offer.listed()
                    if self.output.wire is not None:
                        self.output.wire.logged = self._voice.logged
                    self.client, self.up_at = client, anyio.current_time()
                    self._pulse = self._new_pulse(client)
                    self.owner.came_up(self, listing)
                    tasks.start_soon(offer.listen)
                    if not self.entry.is_inside:
                        tasks.start_soon(self._look_after, self._pulse)
                    await self.output.ended.wait()
                tasks.cancel_scope.cancel()
        except* (OSError, PygentError, MCPError, RuntimeError, ValueError, ImportError) as errors:
            self.why, self.only_modern = faults.why(errors), faults.is_only_modern(errors)
            self.output.cure = self.output.cure or faults.own_cure(errors)
            self.refused = errors.subgroup(NotApproved) is not None
        except* (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream):
            self.why = "closed the connection"
        except* Exception as errors:
            # Whatever it is, it costs this server only. Ours to mend, so the log gets the traceback.
            log.exception('Server "%s" failed in a way that is not foreseen', self.entry.name)
            self.why = faults.why(errors)
        finally:
            self.output.ended.set()
        self.why = self._in_its_words(self.output.fault or self.why or "went away")
        self.cure = faults.cure(self.entry, self.why, self.output, timed_out=self._timed_out)

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        progress: Progress | None = None,
        capabilities: dict[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> dict[str, Any]:
        """See `Link.request`."""
        client, pulse = self.client, self._pulse
        assert client is not None, "it never came up"
        assert pulse is not None
        tool = params["name"] if method == "tools/call" else None
        limit = self.entry.patience(tool) or self.settings.call_timeout
        clock = clock or Clock()
        cause: Exception
        with pulse.request(), clock.start(limit):

            async def report(done: float, total: float | None, message: str | None) -> None:
                clock.renew()  # whoever reports is not stuck
                pulse.heard()
                if progress is not None:
                    await progress(done, total, message)

            try:
                answer = await raw.send(
                    client,
                    method,
                    params,
                    progress=report,
                    capabilities=capabilities,
                    wire=self.output.wire,
                )
                pulse.heard()
                return answer
            except MCPError as error:
                if error.error.code == raw.LOCKED_OUT:
                    self.output.ended.set()
                    raise self._unavailable(error.error.message) from error
                if error.error.code == raw.UNREACHABLE:
                    pulse.unreachable(error.error.message)
                    raise self._unavailable(error.error.message) from error
                if not raw.is_over(error):
                    pulse.heard()
                    raise
                if raw.is_forgotten(error):
                    self.output.ended.set()
                    raise Forgotten(self.entry.name, f"was started anew during {method}") from error
                cause = error
            except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
                cause = error
            # No later request may be given a connection that was found dead.
            self.output.ended.set()
            await self._last_words()
            raise self._lost(method) from cause
        pulse.timed_out()
        raise ServerUnavailable(
            self.entry.name,
            f"gave no answer to {method} and no progress for {limit:g} s",
            f'Allow it more: "timeout": {limit * 4:g} in its entry of the config file',
        )

    def _lost(self, method: str) -> ServerUnavailable:
        name = self.entry.name
        if self.stopped_for == "removed":
            why = f"was removed from the config file, or disabled there, during {method}"
            return ServerUnavailable(name, why, "See what there is: pygent list")
        if self.stopped_for == "edited":
            why = f"was started anew during {method}, as its entry in the config file changed"
            return ConnectionLost(name, why, "Call it again")
        return self._unavailable(f"{self.output.fault or 'went away'} during {method}", ConnectionLost)

    def _unavailable(self, why: str, kind: type[ServerUnavailable] = ServerUnavailable) -> ServerUnavailable:
        return kind(self.entry.name, self._in_its_words(why), "Check it: pygent doctor")

    def _in_its_words(self, why: str) -> str:
        """The clause, with what it said last itself."""
        words = self.output.last_words()
        return f"{why}; {words}" if words and words not in why else why

    async def _last_words(self) -> None:
        """Give a dying child a moment to be reaped, so that the error can say how it ended."""
        with anyio.move_on_after(0.3):
            while self.output.pid is not None and self.output.status is None:
                await anyio.sleep(0.01)

    # Its start and its end.

    async def _limit_start(self, scope: anyio.CancelScope) -> None:
        """After its limit nobody waits for a start. It goes on in the background, as long as it visibly
        works, and otherwise until it has had ten times that.
        """
        await anyio.sleep(self.start_limit)
        if self.client is not None:
            return
        why = f"did not answer {self._awaited()} within {self.start_limit:g} s"
        cure = faults.cure(self.entry, why, self.output, timed_out=True)
        self.owner.is_late(self._in_its_words(f"{why}, and goes on in the background"), cure)
        effort = Effort(output=self.output)
        effort.shown()  # from here on
        await anyio.sleep(self.start_limit * (BACKGROUND_TIMES - 1))
        while self.client is None and effort.shown():
            await anyio.sleep(self.start_limit * BACKGROUND_TIMES)
        if self.client is None:
            self._timed_out = True
            self.output.give_up(
                f"did not answer {self._awaited()} within {self.start_limit * BACKGROUND_TIMES:g} s"
            )
            scope.cancel()

    def _awaited(self) -> str:
        return "initialize" if self._offer is None else "what it offers"

    async def _cancel_when_stopped(self, scope: anyio.CancelScope) -> None:
        await self.stopping.wait()
        scope.cancel()

    def _new_pulse(self, client: Client) -> Pulse:
        """Children that we started are pinged when they are idle, others only when they are in doubt."""
        method = "server/discover" if raw.is_modern(client) else "ping"

        async def ping() -> None:
            try:
                await raw.send(client, method, {}, wire=self.output.wire)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
                raise Unreachable from error
            except MCPError as error:
                if error.error.code == raw.UNREACHABLE:
                    raise Unreachable from error
                raise

        is_child = self.entry.kind == "stdio" and self.settings.ping_idle > 0
        return Pulse(
            ping=ping,
            works=Effort(output=self.output).shown,
            doubted=lambda why: self.owner.doubted("pulse", why),
            recovered=lambda: self.owner.recovered("pulse"),
            idle=self.settings.ping_idle if is_child else float("inf"),
        )

    async def _look_after(self, pulse: Pulse) -> None:
        self.output.give_up(await pulse.watch())

    # What it says by itself.

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        async with Client(
            self.connect(self.output),
            mode=self.mode,
            cache=None,
            client_info=t.Implementation(name="pygent", version=""),
            sampling_callback=self._voice.asker("sampling/createMessage"),
            sampling_capabilities=t.SamplingCapability(tools=t.SamplingToolsCapability()),
            elicitation_callback=self._voice.asker("elicitation/create"),
            list_roots_callback=self._voice.roots,
            message_handler=self._notified,
        ) as client:
            yield client

    async def _notified(self, message: Any) -> None:
        if isinstance(message, anyio.ClosedResourceError | anyio.BrokenResourceError):
            self.output.ended.set()
        elif isinstance(message, NOTICES):
            if self._offer is not None and self.client is not None and not raw.is_modern(self.client):
                await self._offer.refresh()
        else:
            await self._voice.notified(message)
