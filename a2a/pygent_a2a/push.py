"""Pushes the events of tasks to where their callers want them: each once, in order, and not for ever.

What is to be sent lies in the outbox, written there with the change it tells of, so a task never waits for a
receiver and the end of the process loses nothing. A receiver that does not answer is tried again, less and
less often, and given up in the end. Nobody is made to call what only this machine can reach: the address is
looked at when a caller names it, and again, the one that is really connected to, whenever something is sent.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import httpx2
from a2a.server.context import ServerCallContext
from a2a.server.tasks import PushNotificationSender
from a2a.server.tasks.push_notification_sender import PushNotificationEvent
from a2a.types.a2a_pb2 import StreamResponse, TaskPushNotificationConfig
from google.protobuf.json_format import MessageToDict

from pygent_a2a.identity import acting_for
from pygent_a2a.outbox import Delivery, Outbox
from pygent_a2a.signing import Signer
from pygent_a2a.store import Engine, run
from pygent_a2a.tasks import Tasks, agent_of, owned_through
from pygent_shared.http.outbound import Blocked, Outbound, addresses_of, why_blocked, why_not_public

log = logging.getLogger(__name__)

Where = Literal["public", "anywhere"]

TOKEN_HEADER = "X-A2A-Notification-Token"
SIGNATURE_HEADER = "X-A2A-Notification-Signature"
MOST_AT_ONCE = 16
SECONDS = 15.0
"""A receiver has so long to answer."""
LEASE_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
GIVEN_UP_SECONDS = 3600.0
LOOK_SECONDS = 5.0
"""Between two looks for what other processes have to be sent."""
TOKEN_SECONDS = 300
RESOLVE_SECONDS = 5.0

_AGAIN = frozenset((408, 409, 425, 429))
"""What a client's fault is said by that may be none the next time."""
_GONE = 410


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What became of a try: sent, to be tried later, not to be, or nothing is to be sent there."""

    fate: Literal["sent", "later", "dropped", "gone"]
    why: str = ""
    after: float = 0.0


def _outcome(status: int, retry_after: str) -> _Outcome:
    """What a receiver's answer means; redirects are not followed."""
    why = f"the receiver answered {status}"
    if 200 <= status < 300:
        return _Outcome(fate="sent")
    if status == _GONE:
        return _Outcome(fate="gone", why=why)
    if status >= 500 or status in _AGAIN:
        return _Outcome(fate="later", why=why, after=float(retry_after) if retry_after.isdigit() else 0.0)
    return _Outcome(fate="dropped", why=why)


class Allowed:
    """Tells whether events may be pushed to a URL.

    Args:
        where: to addresses of the open Internet alone, or to any but where clouds keep credentials.
    """

    def __init__(self, where: Where) -> None:
        self._blocks = why_not_public if where == "public" else why_blocked
        self._unknown = where == "anywhere"  # who it is nobody knows yet, and it is looked at again

    async def __call__(self, url: str) -> bool:
        try:
            parsed = httpx2.URL(url)
            port = parsed.port or {"http": 80, "https": 443}[parsed.scheme]
            if not parsed.host or parsed.userinfo or port > 65_535:
                return False
            with anyio.fail_after(RESOLVE_SECONDS):
                addresses = await addresses_of(parsed.raw_host.decode("ascii"), port)
        except socket.gaierror:
            return self._unknown
        except (httpx2.InvalidURL, KeyError, OSError, ValueError):  # a TimeoutError is an OSError
            return False
        return bool(addresses) and not any(map(self._blocks, addresses))


class Pusher(PushNotificationSender):
    """Sends what is in the outbox, while `run` runs.

    Args:
        signer: signs what is sent.
        issuer: who is said to have signed it.
        where: see `Allowed`.
        patience: seconds after which something that could not be sent is given up.
        pause: seconds before the first try again; each next one takes twice as long.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        signer: Signer | None,
        where: Where,
        issuer: str = "pygent",
        patience: float = GIVEN_UP_SECONDS,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self._engine, self._outbox = engine, Outbox(engine)
        self._signer, self._issuer = signer, issuer
        self._blocks = why_not_public if where == "public" else why_blocked
        self._patience, self._pause = patience, pause
        self._news = anyio.Event()
        self._busy = 0

    async def send_notification(self, task_id: str, event: PushNotificationEvent) -> None:
        """It is in the outbox already: look there."""
        self._news.set()

    async def run(self) -> None:
        """Ends by being cancelled; what is being sent then is sent again by whoever comes next."""
        transport = Outbound(blocks=self._blocks, trust_env=False)
        async with (
            httpx2.AsyncClient(transport=transport, timeout=SECONDS, trust_env=False) as http,
            anyio.create_task_group() as tasks,
        ):
            while True:
                self._news = anyio.Event()
                try:
                    taken, wait = await self._taken()
                except Exception:
                    log.exception("What is to be pushed could not be looked up; it is tried again")
                    taken, wait = [], LOOK_SECONDS
                for delivery in taken:
                    self._busy += 1
                    tasks.start_soon(self._see_to, delivery, http)
                if not taken:
                    with anyio.move_on_after(wait):
                        await self._news.wait()

    async def _taken(self) -> tuple[list[Delivery], float]:
        """What is to be sent now; where that is nothing, in how many seconds to look again."""
        free = MOST_AT_ONCE - self._busy
        taken = await run(self._engine, self._outbox.due, free, LEASE_SECONDS) if free else []
        if taken:
            return taken, 0.0
        due = await run(self._engine, self._outbox.next_due) if free else None
        return [], LOOK_SECONDS if due is None else min(max(due, 0.01), LOOK_SECONDS)

    async def _see_to(self, delivery: Delivery, http: httpx2.AsyncClient) -> None:
        try:
            await self._deliver(delivery, http)
        except Exception:
            # It is anybody's again when its lease is over.
            log.exception("An event of task %s could not be pushed", delivery.task)
        finally:
            self._busy -= 1
            self._news.set()

    async def _deliver(self, delivery: Delivery, http: httpx2.AsyncClient) -> None:
        outcome = await self._tried(delivery, TaskPushNotificationConfig.FromString(delivery.config), http)
        is_late = self._engine.now() - delivery.since > self._patience
        if outcome.fate == "gone":
            lost = await run(self._engine, self._outbox.give_up, delivery)
            log.warning("%d events of task %s are not pushed: %s", lost, delivery.task, outcome.why)
        elif outcome.fate == "later" and not is_late:
            pause = min(max(outcome.after, self._pause * 2.0 ** min(delivery.attempts, 12)), LONGEST_PAUSE)
            await run(self._engine, self._outbox.postpone, delivery, pause * random.uniform(0.8, 1.2))
        else:
            await run(self._engine, self._outbox.done, delivery)
            if outcome.fate != "sent":
                log.warning("An event of task %s is not pushed: %s", delivery.task, outcome.why)

    async def _tried(
        self, delivery: Delivery, config: TaskPushNotificationConfig, http: httpx2.AsyncClient
    ) -> _Outcome:
        body = json.dumps(await self._payload(delivery), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", **self._credentials(config, delivery, body)}
        try:
            async with http.stream("POST", config.url, content=body, headers=headers) as answer:
                return _outcome(answer.status_code, answer.headers.get("Retry-After", ""))
        except httpx2.HTTPError as error:
            if isinstance(error.__cause__, Blocked):
                return _Outcome(fate="gone", why=f"the receiver is blocked, {error}")
            return _Outcome(fate="later", why=f"the receiver was not reached ({type(error).__name__})")
        except (httpx2.InvalidURL, OSError, ValueError):
            return _Outcome(fate="gone", why="the receiver has no usable URL")

    async def _payload(self, delivery: Delivery) -> dict[str, Any]:
        """What is said: the event, or to those of earlier protocols the task as it is now."""
        if delivery.old:
            agent, caller = agent_of(delivery.owner)
            context: ServerCallContext = acting_for(caller)
            found = await Tasks(self._engine, owned_through(agent), "").get(delivery.task, context)
            if found is not None:
                from a2a.compat.v0_3.conversions import to_compat_task

                old: dict[str, Any] = to_compat_task(found.task).model_dump(
                    mode="json", by_alias=True, exclude_none=True
                )
                return old
        event: dict[str, Any] = MessageToDict(StreamResponse.FromString(delivery.event))
        return event

    def _credentials(
        self, config: TaskPushNotificationConfig, delivery: Delivery, body: bytes
    ) -> Mapping[str, str]:
        headers = {}
        if config.token:
            headers[TOKEN_HEADER] = config.token
        if config.authentication.scheme and config.authentication.credentials:
            headers["Authorization"] = f"{config.authentication.scheme} {config.authentication.credentials}"
        if self._signer is not None:
            now = int(time.time())
            claims = {
                "iss": self._issuer,
                "aud": config.url,
                "iat": now,
                "exp": now + TOKEN_SECONDS,
                "jti": uuid.uuid4().hex,
                "task_id": delivery.task,
                "request_body_sha256": hashlib.sha256(body).hexdigest(),
            }
            headers[SIGNATURE_HEADER] = self._signer.token(claims)
            headers.setdefault("Authorization", f"Bearer {headers[SIGNATURE_HEADER]}")
        return headers
