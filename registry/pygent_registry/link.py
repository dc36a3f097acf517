"""One supervised connection to one server: a task owns it, restarts it, and nothing escapes that task."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import anyio
import mcp.types as t
from mcp import Client

from pygent_registry import health, raw
from pygent_registry.catalogue import Listing
from pygent_registry.clock import Clock
from pygent_registry.entry import Entry
from pygent_registry.life import Forgotten, Life, Mode
from pygent_registry.output import KEPT_STDERR_LINES, Output
from pygent_registry.pulse import Effort
from pygent_registry.voice import Events
from pygent_registry.wire import Progress
from pygent_shared.errors import ServerUnavailable
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

Params = dict[str, Any]

# A server that was up is waited for while its next start is no further away than this.
SHORT_DELAY = 1.0
# How often one that is not to be started as its entry says is asked about: `pygent approve` may come.
REFUSED_SECONDS = 5.0


@dataclass(kw_only=True, eq=False)
class Link:
    """A connection to `entry`'s server in one mode, kept up by `run`: one life after the other."""

    entry: Entry
    settings: Settings
    mode: Mode
    connect: Callable[[Output], Any]
    """Gives the SDK's `Client` what it talks through."""
    events: Events
    chance: Callable[[], float] = random.random
    """Gives a number from 0 to 1, for the jitter."""
    state: health.State = "idle"
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it came into that state."""
    why: str = ""
    """Why it is not ready, in a clause."""
    cure: str = ""
    """What to type about it."""
    late: bool = False
    """Whether it is starting, but nobody waits for it any more."""
    modern: bool = False
    """Whether this connection speaks the 2026 era, as last negotiated."""
    only_modern: bool = False
    """Whether the server refused the handshake of the 2025 era, and names the 2026 one."""
    starts: int = 0
    record: health.Record = field(default_factory=health.Record)
    listing: Listing | None = None
    calls: list[Any] = field(default_factory=list)
    """Requests of hosts in flight, newest last: a legacy server's question belongs to one of these."""
    output: Output = field(default_factory=Output)
    """Of its present life, or else of its last."""
    _life: Life | None = None
    _next_try: float = 0.0
    _doubts: dict[str, str] = field(default_factory=dict)
    _complained: str = ""
    _effort: Effort | None = None
    _past: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_STDERR_LINES))
    _news: anyio.Event = field(default_factory=anyio.Event)
    _wake: anyio.Event = field(default_factory=anyio.Event)
    _stopped: bool = False

    @property
    def is_up(self) -> bool:
        """Whether it is connected, however well it answers."""
        return self.state in health.UP

    @property
    def settled(self) -> bool:
        """Whether it is up, or nobody need wait for it: it has failed at least once, or is late."""
        return self.starts > 1 or self.late or self.is_up or self.state in health.DOWN

    @property
    def capabilities(self) -> t.ServerCapabilities | None:
        client = self._live_client
        return client.server_capabilities if client else None

    @property
    def log(self) -> list[str]:
        """The last lines it wrote to stderr, those of earlier lives included."""
        return [*self._past, *self.output.stderr][-KEPT_STDERR_LINES:]

    @property
    def next_try(self) -> float | None:
        """Seconds until it is started again; None where it need not be."""
        if self.state not in ("backoff", "failed"):
            return None
        return max(self._next_try - anyio.current_time(), 0.0)

    def stop(self, because: Literal["", "removed", "edited"] = "") -> None:
        """Ask `run` to end; requests in flight are told what became of its entry."""
        self._stopped = True
        self._wake.set()
        if self._life is not None:
            self._life.stopped_for = because
            self._life.stopping.set()

    async def run(self) -> None:
        """Own the connection until `stop`: start it, hold it, start it again when it ends."""
        self._move("start")
        while not self._stopped:
            life = await self._live()
            if self._stopped:
                break
            if life.only_modern and self.mode != "auto":
                self.only_modern, self.mode = True, "auto"
                continue  # the same start, in the other era
            await self._rest(life)
            if not self._stopped:
                self._move("retry")
        self._move("stop")

    async def request(
        self,
        method: str,
        params: Params,
        *,
        progress: Progress | None = None,
        capabilities: dict[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the raw result.

        Args:
            method: as on the wire.
            params: as on the wire, without the SDK's own `_meta` keys.
            progress: gets the server's progress; each report also extends the time limit.
            capabilities: the host's, for a modern server.
            clock: stopped by whoever lets the server wait for an answer.

        Raises:
            MCPError: the server's own error, unchanged.
            ServerUnavailable: it is down, went down meanwhile, or did not answer in time.
        """
        try:
            return await self._request(
                method, params, progress=progress, capabilities=capabilities, clock=clock
            )
        except Forgotten:
            return await self._request(
                method, params, progress=progress, capabilities=capabilities, clock=clock
            )

    async def _request(self, method: str, params: Params, **options: Any) -> dict[str, Any]:
        await self.client()
        assert self._life is not None
        return await self._life.request(method, params, **options)

    async def client(self) -> Client:
        """The live client. A server that is starting, or was up and soon will be again, is waited for; one
        that was left alone is tried.

        Raises:
            ServerUnavailable: there is none.
        """
        if (client := self._live_client) is not None:
            return client
        if self.state == "failed" and self.record.may_be_tried(anyio.current_time()):
            self.retry()
        with anyio.move_on_after(self.entry.start_timeout or self.settings.start_timeout):
            while self._live_client is None and self._may_come():
                await self._news.wait()
        if (client := self._live_client) is None:
            raise self._unavailable()
        return client

    def retry(self) -> None:
        """Start it now if it waits for its next start."""
        self._wake.set()

    def is_working(self) -> bool:
        """Whether it is starting and has used the processor since this was last asked."""
        return self.state == "connecting" and self._effort is not None and self._effort.shown()

    # What happens in a life.

    def came_up(self, life: Life, listing: Listing) -> None:
        assert life.client is not None
        self.modern = raw.is_modern(life.client)
        self.listing, self.why, self.cure, self.late = listing, "", "", False
        self._move("up")

    def is_late(self, why: str, cure: str) -> None:
        self.why, self.cure, self.late = why, cure, True
        self._complain()
        self._tell()

    def listed_again(self, listing: Listing) -> None:
        self.listing = listing
        self.events.changed()

    def doubted(self, about: str, why: str) -> None:
        if self._doubts.get(about) == why or not self.is_up:
            return
        self._doubts[about] = why
        self._weigh()
        self._complain()

    def recovered(self, about: str) -> None:
        if self._doubts.pop(about, None) is not None and self.is_up:
            self._weigh()

    def _weigh(self) -> None:
        """It is ready while nothing is held against it."""
        self.why = "; ".join(self._doubts.values())
        self.cure = f"See its log: pygent logs {self.entry.name}" if self.why else ""
        if self.why and self.state == "ready":
            self._move("doubted")
        elif not self.why and self.state == "degraded":
            self._move("recovered")
        else:
            self._tell()

    # From one life to the next.

    @property
    def _live_client(self) -> Client | None:
        return self._life.client if self._life is not None and self._life.is_up else None

    async def _live(self) -> Life:
        self._past.extend(self.output.stderr)
        self.output = Output(most_bytes=self.settings.max_message_mb * 2**20)
        self.late = False
        self._doubts.clear()
        self._effort = Effort(output=self.output)
        self._life = life = Life(
            entry=self.entry,
            settings=self.settings,
            mode=self.mode,
            connect=self.connect,
            events=self.events,
            owner=self,
            output=self.output,
        )
        await life.run()
        return life

    async def _rest(self, life: Life) -> None:
        """Be down until the next start is due, or somebody asks for it."""
        now = anyio.current_time()
        self.why, self.cure, self.late = life.why, life.cure, False
        if life.refused:
            wait = REFUSED_SECONDS
        else:
            self.record = self.record.ended(now, now - life.up_at if life.up_at is not None else 0.0)
            wait = self.record.wait(self.chance())
        self._next_try = now + wait
        self._wake = anyio.Event()
        self._move("tripped" if life.refused or self.record.is_open else "ended")
        self._complain()
        if not life.refused and self.record.breaks == 1:
            log.warning(
                'Server "%s" ended %d times within a minute: it is left alone for %.0f s, or until a call.',
                self.entry.name,
                health.MOST_ENDS,
                wait,
            )
        with anyio.move_on_after(wait):
            await self._wake.wait()

    def _may_come(self) -> bool:
        match self.state:
            case "backoff":
                return self.listing is not None and self.record.delay <= SHORT_DELAY
            case "failed":
                return self._wake.is_set()
            case "connecting":
                return not self.late
            case state:
                return state != "stopped"

    def _unavailable(self) -> ServerUnavailable:
        why = self.why or ("is no longer used" if self._stopped else "is still starting")
        if (seconds := self.next_try) is not None and self.state == "failed" and self.record.is_open:
            times = self.record.lately(anyio.current_time())
            ended = f"it ended {times} times within a minute, so it" if times >= health.MOST_ENDS else "it"
            why = f"{why}; {ended} is tried again in {seconds:.0f} s"
        return ServerUnavailable(self.entry.name, why, self.cure or "Check it: pygent doctor")

    def _complain(self) -> None:
        """Once for each reason: a server that keeps failing alike says so once."""
        level = logging.DEBUG if self.why == self._complained else logging.WARNING
        log.log(level, 'Server "%s" %s. %s', self.entry.name, self.why, self.cure)
        self._complained = self.why

    def _move(self, event: health.Event) -> None:
        before, self.state = self.state, health.after(self.state, event)
        if self.state != before:
            self.since = datetime.now(UTC)
        if event in ("start", "retry"):
            self.starts += 1
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()
        self.events.changed()
