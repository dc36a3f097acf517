"""What is pushed to receivers: all of it, in order, signed, to nobody who should not be called."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import (
    AuthenticationInfo,
    CancelTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import InvalidParamsError
from a2a_scripted import Scripted, card, said
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pygent_a2a.handler import TaskHandler
from pygent_a2a.identity import acting_for
from pygent_a2a.leases import Leases
from pygent_a2a.outbox import Outbox
from pygent_a2a.push import SIGNATURE_HEADER, TOKEN_HEADER, Allowed, Pusher
from pygent_a2a.signing import Signer, made_key
from pygent_a2a.store_sqlite import SqliteEngine
from pygent_a2a.tasks import keep_of
from pygent_shared.http.run import address, listen, running
from pygent_shared.settings import Settings

pytestmark = pytest.mark.anyio

PATIENCE = 15.0


def alice() -> ServerCallContext:
    return acting_for("alice")


class Receiver:
    """A web server that keeps what it is sent, and answers what it is told to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[tuple[dict[str, Any], dict[str, str], bytes]] = []
        self.answers: list[Callable[[], Response]] = []
        self.asked = 0
        self.seconds = 0.0

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        body = await request.body()
        answer = self.answers.pop(0)() if self.answers else Response(status_code=204)
        if answer.status_code < 300:
            self.got.append((json.loads(body), dict(request.headers), body))
        return answer

    @property
    def states(self) -> list[str]:
        """What it was told, in short."""
        return [_short(payload) for payload, _, _ in self.got]


def _short(payload: dict[str, Any]) -> str:
    if "kind" in payload:
        return f"{payload['kind']} {payload['status']['state']}"
    if "artifactUpdate" in payload:
        return str(payload["artifactUpdate"]["artifact"]["parts"][0]["text"])
    return str((payload.get("task") or payload["statusUpdate"])["status"]["state"])


@asynccontextmanager
async def receiving(settings: Settings) -> AsyncIterator[Receiver]:
    listener = listen(settings)
    receiver = Receiver(f"{address(listener)}/hook")
    app = Starlette(routes=[Route("/hook", receiver.answer, methods=["POST", "GET"])])
    async with running(app, listener):
        yield receiver


class Served:
    """A handler whose events are pushed, over one database."""

    def __init__(self, path: Path, **how: Any) -> None:
        self.engine = SqliteEngine(path / "a2a.db")
        leases = Leases(self.engine)
        leases.begin()
        self.keep = keep_of("tides", leases)
        options: dict[str, Any] = {"signer": None, "where": "anywhere", "pause": 0.02} | how
        self.pusher = Pusher(self.engine, **options)
        allowed = Allowed(options["where"])
        self.handler = TaskHandler(
            "tides", Scripted(), card(), keep=self.keep, sender=self.pusher, allowed=allowed
        )
        self.outbox = Outbox(self.engine)

    async def send(
        self, text: str, url: str, context: ServerCallContext | None = None, **config: Any
    ) -> Task:
        params = said(text)
        params.configuration.task_push_notification_config.CopyFrom(
            TaskPushNotificationConfig(url=url, **config)
        )
        task = await asyncio.wait_for(self.handler.on_message_send(params, context or alice()), PATIENCE)
        assert isinstance(task, Task)
        return task

    @asynccontextmanager
    async def pushing(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.pusher.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not done():
                await asyncio.sleep(0.01)

    async def empty(self) -> None:
        await self.until(lambda: self.outbox.waiting() == 0)

    async def close(self) -> None:
        await self.handler.aclose()
        self.engine.close()


ALL = ["TASK_STATE_SUBMITTED", "TASK_STATE_WORKING", "x", "TASK_STATE_COMPLETED"]


async def test_every_event_is_pushed_in_order_though_the_receiver_fails_now_and_then(
    settings: Settings, tmp_path: Path
) -> None:
    served = Served(tmp_path)
    async with receiving(settings) as receiver, served.pushing():
        receiver.answers = [
            lambda: Response(status_code=503),
            lambda: Response(status_code=200),
            lambda: Response(status_code=500),
            lambda: Response(status_code=429, headers={"Retry-After": "0"}),
        ]
        await served.send("work\nsay x\ndone", receiver.url)
        await served.empty()
    assert receiver.states == ALL
    assert receiver.asked == 7
    await served.close()


async def test_a_slow_receiver_holds_up_nobody(settings: Settings, tmp_path: Path) -> None:
    served = Served(tmp_path)
    async with receiving(settings) as receiver, receiving(settings) as quick, served.pushing():
        receiver.seconds = 1.0
        began = time.monotonic()
        task = await served.send("work\nsay x\ndone", receiver.url)
        assert task.status.state == TaskState.TASK_STATE_COMPLETED
        await served.send("done", quick.url)
        await served.until(lambda: quick.states == ["TASK_STATE_SUBMITTED", "TASK_STATE_COMPLETED"])
        assert time.monotonic() - began < 3
        assert receiver.states != ALL
        await served.empty()
    assert receiver.states == ALL
    await served.close()


async def test_what_was_not_sent_before_the_process_ended_is_sent_by_the_next(
    settings: Settings, tmp_path: Path
) -> None:
    first = Served(tmp_path)
    async with receiving(settings) as receiver:
        await first.send("work\nsay x\ndone", receiver.url)
        assert first.outbox.waiting() == 4
        await first.close()
        second = Served(tmp_path)
        async with second.pushing():
            await second.empty()
        await second.close()
    assert receiver.states == ALL


async def test_what_is_sent_is_signed_for_this_receiver_and_this_body_and_not_for_long(
    settings: Settings, tmp_path: Path
) -> None:
    signer = Signer(made_key(tmp_path / "key.pem"))
    served = Served(tmp_path, signer=signer)
    async with receiving(settings) as receiver, served.pushing():
        task = await served.send("done", receiver.url, token="shared")
        await served.empty()
    key = jwt.PyJWK(signer.jwks()["keys"][0])
    for _, headers, body in receiver.got:
        assert headers[TOKEN_HEADER.lower()] == "shared"
        signature = headers[SIGNATURE_HEADER.lower()]
        assert headers["authorization"] == f"Bearer {signature}"
        claims = jwt.decode(signature, key, algorithms=["ES256"], audience=receiver.url)
        assert claims["request_body_sha256"] == hashlib.sha256(body).hexdigest()
        assert claims["task_id"] == task.id
        assert claims["exp"] - claims["iat"] == 300
    ids = {
        jwt.decode(headers[SIGNATURE_HEADER.lower()], options={"verify_signature": False})["jti"]
        for _, headers, _ in receiver.got
    }
    assert len(ids) == 2
    await served.close()


async def test_the_credentials_of_a_target_go_with_what_is_sent_and_into_no_log(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served = Served(tmp_path, signer=Signer(made_key(tmp_path / "key.pem")))
    async with receiving(settings) as receiver, served.pushing():
        receiver.answers = [lambda: Response(status_code=400)]
        credentials = AuthenticationInfo(scheme="Bearer", credentials="hunter2")
        await served.send("done", receiver.url, authentication=credentials, token="hunter3")
        await served.empty()
    (_, headers, _) = receiver.got[0]
    assert headers["authorization"] == "Bearer hunter2"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("pygent", "httpx2"))]
    assert not [line for line in ours if "hunter" in line]
    await served.close()


async def test_a_receiver_that_refuses_or_is_gone_is_not_asked_again(
    settings: Settings, tmp_path: Path
) -> None:
    served = Served(tmp_path)
    async with receiving(settings) as receiver, served.pushing():
        receiver.answers = [lambda: Response(status_code=403)]
        await served.send("work\nsay x\ndone", receiver.url)
        await served.empty()
        assert receiver.states == ALL[1:]
        receiver.answers = [lambda: Response(status_code=410)]
        before = receiver.asked
        await served.send("ask\nsay x\ndone", receiver.url)
        await served.empty()
        assert receiver.asked - before <= 2
    await served.close()


async def test_a_receiver_that_never_answers_is_given_up_in_time(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(settings) as receiver:
        gone = receiver.url
    served = Served(tmp_path, patience=0.3)
    async with served.pushing():
        await served.send("done", gone)
        await served.empty()
    assert sum("is not pushed" in record.message for record in caplog.records) == 2
    await served.close()


async def test_a_redirect_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    served = Served(tmp_path)
    async with receiving(settings) as receiver, receiving(settings) as secret, served.pushing():
        receiver.answers = [lambda: RedirectResponse(secret.url, 307)] * 2
        await served.send("done", receiver.url)
        await served.empty()
    assert (receiver.asked, secret.asked) == (2, 0)
    await served.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x",
        "http://localhost/x",
        "http://[::1]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://2130706433/x",
        "http://0x7f.1/x",
        "http://10.0.0.1/x",
        "http://192.168.1.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[64:ff9b::a9fe:a9fe]/x",
        "http://100.64.0.1/x",
        "http://0.0.0.0/x",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "gopher://1.1.1.1/x",
        "http://user:password@1.1.1.1/x",
        "http://no-such-name.invalid/x",
        "http:///x",
        "nonsense",
        "http://1.1.1.1:99999/x",
        "",
    ],
)
async def test_no_target_is_taken_that_only_this_machine_can_reach(url: str, tmp_path: Path) -> None:
    served = Served(tmp_path, where="public")
    with pytest.raises(InvalidParamsError) as caught:
        await served.send("done", url)
    assert not url or url not in str(caught.value)
    for table in ("a2a_target", "a2a_task", "a2a_message"):
        assert served.engine.query(f"SELECT count(*) FROM {table}") == [(0,)]
    parked = await served.handler.on_message_send(said("ask"), alice())
    assert isinstance(parked, Task)
    with pytest.raises(InvalidParamsError):
        await served.handler.on_create_task_push_notification_config(
            TaskPushNotificationConfig(task_id=parked.id, url=url), alice()
        )
    assert served.engine.query("SELECT count(*) FROM a2a_target") == [(0,)]
    await served.close()


async def test_addresses_of_the_open_internet_are_taken_and_where_clouds_keep_keys_never_is() -> None:
    assert await Allowed("public")("https://1.1.1.1/hook")
    assert await Allowed("anywhere")("http://127.0.0.1:9/hook")
    assert await Allowed("anywhere")("http://not-there-yet.invalid/hook")
    assert not await Allowed("anywhere")("http://169.254.169.254/hook")


async def test_a_name_that_leads_elsewhere_when_it_is_called_is_not_called(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(tmp_path, where="public")

    async def fooled(url: str) -> bool:  # the name led to the open Internet then
        return True

    served.handler._push_url_validator = fooled
    async with receiving(settings) as receiver, served.pushing():
        await served.send("work\nsay x\ndone", receiver.url.replace("127.0.0.1", "localhost"))
        await served.empty()
    assert receiver.asked == 0
    assert any("is not an address of the open Internet" in record.message for record in caplog.records)
    await served.close()


async def test_clients_of_earlier_protocols_are_sent_the_task_in_their_words(
    settings: Settings, tmp_path: Path
) -> None:
    served = Served(tmp_path)
    context = alice()
    context.state["headers"] = {}
    async with receiving(settings) as receiver:
        await served.send("work\ndone", receiver.url, context)
        async with served.pushing():
            await served.empty()
    assert receiver.states == ["task completed"] * 3
    await served.close()


async def test_a_cancelled_task_is_pushed_too(settings: Settings, tmp_path: Path) -> None:
    served = Served(tmp_path)
    async with receiving(settings) as receiver, served.pushing():
        task = await served.send("ask when?", receiver.url)
        await served.handler.on_cancel_task(CancelTaskRequest(id=task.id), alice())
        await served.empty()
    assert receiver.states[-1] == "TASK_STATE_CANCELED"
    await served.close()
