"""A bus over Redis, for several processes and machines.

What may be lost is published. What must arrive is added to its recipient's stream as well, where each reader
is a consumer group and each process a consumer. A process is alive while its key is, which every heartbeat
renews: what a dead one was given and has not dealt with is claimed by whoever receives next.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError

from pygent_orchestration.bus.bus import (
    BEAT_SECONDS,
    KEPT_SECONDS,
    MISSED_BEATS,
    MOST_OF_TOPIC,
    MOST_UNREAD,
    Delivery,
)
from pygent_orchestration.bus.message import EVERYBODY, AgentMessage, is_address, is_name
from pygent_orchestration.bus.refusals import Full, NoReceipt, refuse_large
from pygent_shared.errors import MissingExtra, ServerUnavailable, SettingInvalid

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

PREFIX = "pygent:bus:"
SETTING = "PYGENT_REDIS_URL"
KNOWN_SECONDS = 86_400
"""For how long it is known that a message was sent."""
LOOK_SECONDS = 1.0
"""Between two looks for what dead processes were given."""
CLAIM_MS = 200
"""What was claimed so lately is not claimed again: two may look at once."""
ANSWER_SECONDS = 5.0
"""That Redis may take."""

_FULL = "full"
_TWICE = "twice"
_SEND = """
local stream, known, channel = KEYS[1], KEYS[2], KEYS[3]
local message, most, is_topic, known_s, kept_s = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4], ARGV[5]
if redis.call('EXISTS', known) == 1 then return 'twice' end
if not is_topic and redis.call('XLEN', stream) >= most then return 'full' end
redis.call('SET', known, 1, 'EX', known_s)
local entry
if is_topic then entry = redis.call('XADD', stream, 'MAXLEN', '~', most, '*', 'message', message)
else entry = redis.call('XADD', stream, '*', 'message', message) end
redis.call('EXPIRE', stream, kept_s)
redis.call('PUBLISH', channel, entry .. ' ' .. message)
return entry
"""
_FORGET = """
if redis.call('EXISTS', KEYS[2]) == 0 and #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0
then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
"""


class RedisBus:
    """See `Bus`.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        MissingExtra: the client is not installed.
        SettingInvalid: the URL is none.
    """

    kind = "redis"

    def __init__(self, url: str, *, most: int = MOST_UNREAD, seconds: float = KEPT_SECONDS) -> None:
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as error:
            raise MissingExtra("a bus over Redis", "redis") from error
        self.id = uuid4().hex
        self._most = most
        self._seconds = seconds
        self._grouped: set[tuple[str, str]] = set()
        try:
            self._redis: Redis = Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 1),  # a connection that was closed meanwhile
            )
        except ValueError as error:
            scheme = url.partition("://")[0]  # the rest may hold a password
            cure = "Give one such as redis://127.0.0.1:6379/0."
            raise SettingInvalid(SETTING, f"{scheme[:20]}…", "the URL of a Redis", cure) from error
        self._keep = self._redis.register_script(_SEND)
        self._forget = self._redis.register_script(_FORGET)

    async def send(self, message: AgentMessage) -> bool:
        refuse_large(message)
        text, channel = message.model_dump_json(), _channel(message.recipient)
        with _reached():
            if not message.is_kept:
                if message.type == "HEARTBEAT":
                    alive = int(BEAT_SECONDS * MISSED_BEATS * 1000)
                    await self._redis.set(_alive(message.sender), text, px=alive)
                await self._redis.publish(channel, f" {text}")
                return True
            is_topic = not is_name(message.recipient)
            most = MOST_OF_TOPIC if is_topic else self._most
            ended = await self._keep(
                keys=[_stream(message.recipient), f"{PREFIX}known:{message.id}", channel],
                args=[text, most, int(is_topic), KNOWN_SECONDS, max(1, round(self._seconds))],
            )
        if ended == _FULL:
            raise Full(message.recipient, most)
        return bool(ended != _TWICE)

    @asynccontextmanager
    async def listening(self, *addresses: str) -> AsyncIterator[AsyncIterator[Delivery]]:
        async with self._redis.pubsub() as heard:
            with _reached():
                await heard.subscribe(*map(_channel, addresses))
                for _ in addresses:  # from here on nothing is missed
                    await heard.get_message(timeout=ANSWER_SECONDS)

            async def each() -> AsyncIterator[Delivery]:
                while True:
                    with _reached():
                        found = await heard.get_message(ignore_subscribe_messages=True, timeout=LOOK_SECONDS)
                    if found is not None:
                        entry, _, text = found["data"].partition(" ")
                        address = found["channel"].removeprefix(_channel(""))
                        if (delivery := _delivery(text, address, entry)) is not None:
                            yield delivery

            yield each()

    async def receive(
        self, reader: str, *, topics: Sequence[str] = (), within: float = 0.0, most: int = 50
    ) -> list[Delivery]:
        addresses = (reader, *topics)
        end = time.monotonic() + within
        with _reached():
            while True:
                await self._group(reader, addresses)
                await self._claim(reader, addresses)
                found = await self._read(reader, addresses, "0", most)
                left = 0 if found else end - time.monotonic()
                if len(found) < most:
                    block = int(min(max(left, 0), LOOK_SECONDS) * 1000) or None
                    found += await self._read(reader, addresses, ">", most - len(found), block)
                if found or left <= 0:
                    return found

    async def done(self, reader: str, receipts: Sequence[str]) -> None:
        split = [receipt.rpartition("|") for receipt in receipts]
        for receipt, (address, _, entry) in zip(receipts, split, strict=True):
            if not is_address(address) or not all(part.isdigit() for part in entry.split("-")):
                raise NoReceipt(receipt)
        with _reached():
            async with self._redis.pipeline(transaction=True) as work:
                for address, _, entry in split:
                    work.xack(_stream(address), reader, entry)
                    if is_name(address):
                        work.xdel(_stream(address), entry)
                await work.execute()

    async def present(self) -> list[AgentMessage]:
        with _reached():
            keys = sorted([key async for key in self._redis.scan_iter(f"{_alive('')}*", count=1000)])
            found = await self._redis.mget(keys) if keys else []
        beats = [_delivery(str(text), EVERYBODY, "") for text in found if text]
        return [beat.message for beat in beats if beat is not None]

    async def close(self) -> None:
        try:
            with _reached():
                await self._redis.delete(_alive(self.id))
        finally:
            await self._redis.aclose()

    async def _group(self, reader: str, addresses: Sequence[str]) -> None:
        """Have a reader be one of the streams'."""
        from redis.exceptions import ResponseError

        for address in addresses:
            try:
                first = "0" if address == reader or (reader, address) in self._grouped else "$"
                await self._redis.xgroup_create(_stream(address), reader, first, mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):  # it is one already
                    raise
            self._grouped.add((reader, address))

    async def _claim(self, reader: str, addresses: Sequence[str]) -> None:
        """Take over what dead processes were given."""
        for address in addresses:
            stream = _stream(address)
            for consumer in await self._redis.xinfo_consumers(stream, reader):
                name, pending = consumer["name"], consumer["pending"]
                if name == self.id or await self._redis.exists(_alive(name)):
                    continue
                if pending:
                    left = await self._redis.xpending_range(stream, reader, "-", "+", pending, name)
                    entries: list[Any] = [entry["message_id"] for entry in left]
                    await self._redis.xclaim(stream, reader, self.id, CLAIM_MS, entries)
                else:
                    await self._forget(keys=[stream, _alive(name)], args=[reader, name])

    async def _read(
        self, reader: str, addresses: Sequence[str], after: str, most: int, block: int | None = None
    ) -> list[Delivery]:
        found = await self._redis.xreadgroup(
            reader, self.id, {_stream(address): after for address in addresses}, count=most, block=block
        )
        read: Any = found.items() if isinstance(found, dict) else found or ()
        deliveries = []
        for stream, entries in read:
            address = stream.removeprefix(_stream(""))
            for entry, fields in entries:
                delivery = _delivery(fields.get("message", ""), address, entry) if fields else None
                if delivery is not None:
                    deliveries.append(delivery)
                else:  # fallen out of its topic, or of another's making
                    await self._redis.xack(stream, reader, entry)
        return deliveries[:most]


@contextmanager
def _reached() -> Iterator[None]:
    """Raises ServerUnavailable: Redis is not there, or refuses."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        why = f"cannot be used: {str(error).rstrip('.')}"
        raise ServerUnavailable("redis", why, f"Look at {SETTING}.") from error


def _delivery(text: str, address: str, entry: str) -> Delivery | None:
    """What came; None where it is no message, which the log says."""
    try:
        message = AgentMessage.model_validate_json(text)
    except ValidationError:
        log.warning("What came on the bus to %s is no message of ours, and is left out", address)
        return None
    return Delivery(message=message, receipt=f"{address}|{entry}" if entry else "")


def _stream(address: str) -> str:
    return f"{PREFIX}to:{address}"


def _channel(address: str) -> str:
    return f"{PREFIX}at:{address}"


def _alive(id: str) -> str:
    return f"{PREFIX}alive:{id}"
