"""What every bus does, in one process and over a real Redis; and what Redis alone does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygent_orchestration.bus import bus as bounds
from pygent_orchestration.bus.bus import Bus
from pygent_orchestration.bus.in_process import InProcessBus
from pygent_orchestration.bus.message import PROGRESS, AgentMessage
from pygent_orchestration.bus.post import Post, progress
from pygent_orchestration.bus.presence import Presence
from pygent_orchestration.bus.redis import RedisBus
from pygent_orchestration.bus.requests import asked
from pygent_shared.errors import InvalidArgument, MissingExtra, ServerUnavailable, SettingInvalid, TooMany

pytestmark = pytest.mark.anyio

READER = Path(__file__).with_name("bus_reader.py")
PATIENCE = 30.0
SOON = 0.3
NAMES = (f"agent/a{number}" for number in range(10**6))


@pytest.fixture(params=["in-process", "redis"])
def build(request: pytest.FixtureRequest) -> Any:
    """Makes a bus of a kind: `build(most=…, seconds=…)`."""
    if request.param == "in-process":
        return InProcessBus
    url = request.getfixturevalue("redis_url")
    return lambda **options: RedisBus(url, **options)


@pytest.fixture
async def bus(build: Any) -> AsyncIterator[Bus]:
    made: Bus = build()
    yield made
    await made.close()


@pytest.fixture
def name() -> str:
    """An address that no other test has."""
    return next(NAMES)


def said(to: str, what: int = 0, sender: str = "host", **more: Any) -> AgentMessage:
    more = {"type": "COORDINATION", **more}
    return AgentMessage(sender=sender, recipient=to, payload={"what": what}, **more)


async def received(bus: Bus, reader: str, **more: Any) -> list[AgentMessage]:
    return [delivery.message for delivery in await bus.receive(reader, **more)]


@pytest.mark.parametrize("type", ["TASK_ASSIGNMENT", "TASK_RESULT", "COORDINATION", "ERROR"])
async def test_what_must_arrive_waits_for_its_reader_until_that_is_done_with_it(
    bus: Bus, name: str, type: str
) -> None:
    sent = [said(name, number, type=type) for number in range(3)]
    for message in sent:
        assert await bus.send(message)
    given = await bus.receive(name)
    assert [delivery.message for delivery in given] == sent
    await bus.done(name, [given[0].receipt, given[2].receipt])
    assert await received(bus, name) == [sent[1]]
    await bus.done(name, [given[1].receipt])
    assert await received(bus, name) == []


@pytest.mark.parametrize("type", ["PROGRESS_UPDATE", "HEARTBEAT"])
async def test_what_may_be_lost_is_heard_by_who_listens_and_kept_for_nobody(
    bus: Bus, name: str, type: str
) -> None:
    message = said(name, type=type)
    async with bus.listening(name) as heard:
        await bus.send(message)
        with anyio.fail_after(PATIENCE):
            delivery = await anext(heard)
    assert (delivery.message, delivery.receipt) == (message, "")
    assert await received(bus, name, within=SOON) == []


async def test_a_message_that_is_sent_twice_arrives_once(bus: Bus, name: str) -> None:
    message = said(name)
    assert [await bus.send(message), await bus.send(message)] == [True, False]
    assert await received(bus, name) == [message]


async def test_who_listens_hears_what_is_kept_too_and_may_be_done_with_it(bus: Bus, name: str) -> None:
    async with bus.listening(name, "#elsewhere") as heard:
        await bus.send(said("agent/another"))
        await bus.send(message := said(name))
        with anyio.fail_after(PATIENCE):
            delivery = await anext(heard)
    assert delivery.message == message
    await bus.done(name, [delivery.receipt])
    assert await received(bus, name) == []


@pytest.mark.parametrize("topic", ["#design", "*"])
async def test_each_who_follows_a_topic_is_given_what_is_sent_since_he_first_did(
    bus: Bus, name: str, topic: str
) -> None:
    other = next(NAMES)
    await bus.send(said(topic, 1))
    assert await received(bus, name, topics=[topic]) == []
    await bus.send(said(topic, 2))
    assert await received(bus, other, topics=[topic]) == []
    await bus.send(said(topic, 3))
    await bus.send(said(name, 4))
    given = await bus.receive(name, topics=[topic])
    assert sorted(delivery.message.payload["what"] for delivery in given) == [2, 3, 4]
    await bus.done(name, [delivery.receipt for delivery in given])
    assert await received(bus, name, topics=[topic]) == []
    assert [message.payload["what"] for message in await received(bus, other, topics=[topic])] == [3]


async def test_a_reader_waits_for_what_comes(bus: Bus, name: str) -> None:
    got: list[AgentMessage] = []

    async def wait() -> None:
        got.extend(await received(bus, name, within=PATIENCE))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(SOON)
            await bus.send(message := said(name))
    assert got == [message]


async def test_a_request_is_answered_and_the_answer_is_no_news_any_more(bus: Bus, name: str) -> None:
    other = next(NAMES)

    async def serve() -> None:
        (delivery,) = await bus.receive(other, within=PATIENCE)
        await bus.send(said(name, 7, sender="agent/else"))  # about something else
        await bus.send(delivery.message.answered("TASK_RESULT", {"what": 8}, other))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        answer = await asked(bus, said(other, sender=name), PATIENCE)
    assert answer is not None
    assert (answer.type, answer.payload, answer.sender) == ("TASK_RESULT", {"what": 8}, other)
    assert [message.payload["what"] for message in await received(bus, name)] == [7]


async def test_an_answer_that_comes_too_late_is_kept(bus: Bus, name: str) -> None:
    other = next(NAMES)
    assert await asked(bus, said(other, sender=name), SOON) is None
    (request,) = await received(bus, other)
    await bus.send(request.answered("COORDINATION", {"what": 9}, other))
    (answer,) = await received(bus, name)
    assert answer.correlation_id == request.id


async def test_an_inbox_that_nobody_reads_is_full_one_day_and_says_so(build: Any, name: str) -> None:
    bus = build(most=2)
    await bus.send(said(name, 1))
    await bus.send(said(name, 2))
    with pytest.raises(TooMany, match=f'inbox of "{name}" is at its limit of 2 unread messages'):
        await bus.send(third := said(name, 3))
    (first, _) = await bus.receive(name)
    await bus.done(name, [first.receipt])
    assert await bus.send(third)
    assert [message.payload["what"] for message in await received(bus, name)] == [2, 3]
    await bus.close()


async def test_of_a_topic_the_oldest_go(build: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("in_process", "redis"):
        monkeypatch.setattr(f"pygent_orchestration.bus.{module}.MOST_OF_TOPIC", 100)
    bus, topic = build(), f"#{name}"
    await received(bus, name, topics=[topic])
    for number in range(400):
        await bus.send(said(topic, number))
    got = [message.payload["what"] for message in await received(bus, name, topics=[topic], most=400)]
    assert 100 <= len(got) < 300
    assert got == list(range(400))[-len(got) :]
    await bus.close()


async def test_what_nobody_read_for_long_is_gone(build: Any, name: str) -> None:
    bus = build(seconds=1)
    await bus.send(said(name))
    await anyio.sleep(1.2)
    assert await received(bus, name) == []
    await bus.close()


async def test_what_is_too_large_is_refused(bus: Bus, name: str) -> None:
    large = AgentMessage(
        sender="host", recipient=name, type="ERROR", payload={"what": "x" * bounds.PAYLOAD_BYTES}
    )
    with pytest.raises(InvalidArgument, match=r"Put it into a file, and send its path\."):
        await bus.send(large)


@pytest.mark.parametrize(
    "receipt", ["", "nothing", "agent/a|", "agent/a|x", "a b|1-1", "agent/a|99999999999-"]
)
async def test_a_receipt_that_was_not_given_is_refused(bus: Bus, name: str, receipt: str) -> None:
    with pytest.raises(InvalidArgument, match="is no receipt of yours"):
        await bus.done(name, [receipt])


async def test_who_is_present_is_known_by_its_heartbeats_until_it_leaves(build: Any) -> None:
    bus, others = build(), build()
    presence = Presence(bus, lambda: {"pid": 7})
    await presence.on()
    (beat,) = [each for each in await bus.present() if each.sender == bus.id]
    assert (beat.payload, beat.recipient, beat.type) == ({"pid": 7}, "*", "HEARTBEAT")
    await presence.off()
    assert bus.id not in [each.sender for each in await bus.present()]
    await others.close()
    await bus.close()


async def test_a_heart_that_stands_still_is_not_taken_for_alive(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("in_process", "redis"):
        monkeypatch.setattr(f"pygent_orchestration.bus.{module}.BEAT_SECONDS", 0.1)
    bus = build()
    await bus.send(AgentMessage(sender=bus.id, recipient="*", type="HEARTBEAT"))
    assert bus.id in [each.sender for each in await bus.present()]
    await anyio.sleep(0.5)
    assert bus.id not in [each.sender for each in await bus.present()]
    await bus.close()


async def test_what_work_says_is_sent_in_order_by_the_post(bus: Bus, name: str) -> None:
    post = Post(bus)
    post.put([said(name, 1), said(name, 2)])
    post.begin()
    async with bus.listening(PROGRESS) as heard:
        await anyio.to_thread.run_sync(post.put, [progress("feature/x", {"what": 3}), said(name, 4)])
        with anyio.fail_after(PATIENCE):
            assert (await anext(heard)).message.payload == {"what": 3}
    post.put([said(name, 5)])
    await post.off()
    assert [each.payload["what"] for each in await received(bus, name)] == [1, 2, 4, 5]


@pytest.mark.parametrize("to", ["", "a b", "#", "**", "x" * 300, "a\nb", "../a"])
def test_what_is_no_address_is_no_recipient(to: str) -> None:
    with pytest.raises(ValueError, match="recipient"):
        said(to)


Act = tuple[str, int]


@settings(max_examples=60)
@given(acts=st.lists(st.tuples(st.sampled_from(["send", "receive", "done"]), st.integers(0, 5)), max_size=25))
@pytest.mark.parametrize("kind", ["in-process", "redis"])
def test_whatever_is_sent_is_given_in_order_until_it_is_done(
    kind: str, acts: list[Act], request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""

    async def play() -> None:
        bus: Bus = RedisBus(url) if url else InProcessBus()
        reader, open, receipts = next(NAMES), [], {}
        for act, number in acts:
            match act:
                case "send":
                    await bus.send(message := said(reader, number))
                    open.append(message.id)
                case "receive":
                    given = await bus.receive(reader, most=number + 1)
                    assert [each.message.id for each in given] == open[: number + 1]
                    receipts |= {each.message.id: each.receipt for each in given}
                case "done" if receipts:
                    id = sorted(receipts)[number % len(receipts)]
                    await bus.done(reader, [receipts.pop(id)])
                    open.remove(id)
        await bus.close()

    anyio.run(play)


async def test_of_two_processes_that_receive_for_one_reader_each_is_given_its_own(
    redis_url: str, name: str
) -> None:
    one, two = RedisBus(redis_url), RedisBus(redis_url)
    presences = [Presence(bus, dict) for bus in (one, two)]
    for presence in presences:
        await presence.on()
    for number in range(4):
        await one.send(said(name, number))
    first = await received(one, name, most=2)
    await anyio.sleep(SOON)
    assert [each.payload["what"] for each in first + await received(two, name)] == [0, 1, 2, 3]
    assert await received(one, name) == first
    await presences[0].off()
    await anyio.sleep(SOON)
    taken = [each.payload["what"] for each in await received(two, name, within=PATIENCE)]
    assert sorted(taken) == [0, 1, 2, 3]
    await presences[1].off()


async def test_what_a_process_was_given_that_was_killed_is_given_to_another(
    redis_url: str, name: str
) -> None:
    bus = RedisBus(redis_url)
    sent = [said(name, number) for number in range(3)]
    for message in sent:
        await bus.send(message)
    presence = Presence(bus, dict)
    await presence.on()
    with subprocess.Popen(
        [sys.executable, READER, redis_url, name], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = [await anyio.to_thread.run_sync(child.stdout.readline) for _ in sent]
        assert [line.strip() for line in lines] == [message.id for message in sent]
        assert await received(bus, name, within=SOON) == []  # it is alive, and at it
        child.kill()
    with anyio.fail_after(PATIENCE):
        got = await received(bus, name, within=PATIENCE)
    assert got == sent
    await presence.off()


async def test_a_redis_that_is_gone_is_a_sentence_without_its_password_and_missed_by_nobody_when_it_is_back(
    tmp_path: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    from redis_server import running

    gone = RedisBus("redis://user:secret@127.0.0.1:1/0")
    with pytest.raises(
        ServerUnavailable, match=r'"redis" cannot be used: .*Look at PYGENT_REDIS_URL\.'
    ) as error:
        await gone.send(said("agent/x"))
    assert "secret" not in str(error.value)
    with running(tmp_path) as url:
        bus = RedisBus(url)
        await bus.send(said("agent/x", 1))
    with pytest.raises(ServerUnavailable):
        await bus.send(said("agent/x", 2))
    post = Post(bus)
    post.begin()
    post.put([progress("feature/x", {}), said("agent/x", 3), said("agent/x", 4)])
    await anyio.sleep(SOON)
    with running(tmp_path):
        got: list[AgentMessage] = []
        with anyio.fail_after(PATIENCE):
            while len(got) < 2:
                got = await received(bus, "agent/x", within=SOON)
        assert [each.payload["what"] for each in got] == [3, 4]
        await bus.close()
    post.put([said("agent/x", 5)])
    await post.off()
    assert "1 message(s) that must arrive were not sent" in caplog.text


async def test_what_others_put_into_redis_is_left_out_and_hinders_nothing(
    redis_url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    from redis.asyncio import Redis

    bus, other = RedisBus(redis_url), Redis.from_url(redis_url)
    async with bus.listening(name) as heard:
        await other.xadd(f"pygent:bus:to:{name}", {"message": "{}"})
        await other.xadd(f"pygent:bus:to:{name}", {"x": "y"})
        await other.publish(f"pygent:bus:at:{name}", "nonsense")
        await bus.send(message := said(name))
        with anyio.fail_after(PATIENCE):
            assert (await anext(heard)).message == message
    assert await received(bus, name) == [message]
    assert f"to {name} is no message of ours" in caplog.text
    await other.aclose()
    await bus.close()


def test_a_url_of_something_else_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingInvalid, match="PYGENT_REDIS_URL is 'http…', but it must be") as error:
        RedisBus("http://user:secret@host")
    assert "secret" not in str(error.value)


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pygent-factory\[redis\]'"):
        RedisBus("redis://127.0.0.1")
