"""What is wrong, not there or not for this caller: by each binding it gets the protocol's own error, which
tells nothing of what is inside, and nothing of it is kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import grpc
import httpx
import jwt
import pytest
from a2a_serving import heard
from a2a_wire import BINDINGS, Wire, message, refused
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from test_a2a_mounted import Up, up

from pygent_a2a.front import DATABASE
from pygent_a2a.store_sqlite import SqliteEngine
from pygent_shared.http.oauth import LEEWAY_SECONDS
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

pytestmark = pytest.mark.anyio

SECRET = "swordfish"
TABLES = ("a2a_task", "a2a_event", "a2a_message", "a2a_target", "a2a_delivery")
INSIDE = ("Traceback", "site-packages", ".py", "sqlite", "SELECT", "pydantic", SECRET)
"""What no error may tell of."""
ISSUER, AUDIENCE = "https://issuer.example", "https://box.example/mcp"
KEY, OTHER_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, kw_only=True)
class Bad:
    """An endpoint with a task of Ada's that is done, and whoever sends what is bad."""

    up: Up
    settings: Settings
    binding: str
    task: str
    eve: str
    """The key of another caller."""

    def by(self, token: str) -> Wire:
        url = f"{self.up.url}/agents/tides"
        return Wire(url=url, binding=self.binding, port=self.settings.a2a_grpc_port, token=token)

    def kept(self) -> list[Any]:
        """How much there is in each table."""
        with closing(SqliteEngine(self.settings.data_dir / DATABASE)) as engine:
            return [engine.query(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


@pytest.fixture(params=BINDINGS)
async def bad(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> AsyncIterator[Bad]:
    async with serving(request.param, settings, tmp_path) as made:
        yield made


@asynccontextmanager
async def serving(binding: str, settings: Settings, folder: Path) -> AsyncIterator[Bad]:
    keys = folder / "keys.json"
    public = {**json.loads(ECAlgorithm.to_jwk(KEY.public_key())), "kid": "1", "use": "sig", "alg": "ES256"}
    keys.write_text(json.dumps({"keys": [public]}))
    issuer = {"oauth_issuer": ISSUER, "oauth_jwks": str(keys), "oauth_audience": AUDIENCE}
    settings = heard(replace(settings, **issuer), binding)
    async with up(settings, folder) as served:
        eve, ada = served.key("eve"), served.key("ada")  # both before the file of keys is first looked at
        hers = await served.send(ada, "first")
        yield Bad(up=served, settings=settings, binding=binding, task=hers["id"], eve=eve)


def token(key: Any = KEY, algorithm: str = "ES256", **claims: Any) -> str:
    """An access token of the issuer, good but for what is told."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "client_id": "desk", "exp": int(time.time()) + 300}
    return jwt.encode({**good, **claims}, key, algorithm, {"kid": "1", "typ": "at+jwt"})


async def answered(wire: Wire, method: str, **params: Any) -> tuple[int | str, str]:
    """The status of an answer, and all that it says."""
    if wire.binding != "GRPC":
        answer = await wire.send(method, **params)
        return answer.status_code, answer.text
    try:
        return "OK", str(await wire.grpc(method, params))
    except grpc.aio.AioRpcError as error:
        return error.code().name, f"{error.details()} {error.trailing_metadata()}"


def tells_nothing(text: str) -> bool:
    return not [word for word in INSIDE if word in text]


FOREIGN: dict[str, dict[str, Any]] = {
    "GetTask": {"id": "{task}"},
    "CancelTask": {"id": "{task}"},
    "SubscribeToTask": {"id": "{task}"},
    "SendMessage": {"message": {"taskId": "{task}"}},
    "SendStreamingMessage": {"message": {"taskId": "{task}"}},
    "CreateTaskPushNotificationConfig": {"taskId": "{task}", "url": "https://example.com/hook"},
    "GetTaskPushNotificationConfig": {"taskId": "{task}", "id": "c1"},
    "ListTaskPushNotificationConfigs": {"taskId": "{task}"},
    "DeleteTaskPushNotificationConfig": {"taskId": "{task}", "id": "c1"},
}


def of(task: str, params: dict[str, Any]) -> dict[str, Any]:
    filled = {key: task if value == "{task}" else value for key, value in params.items()}
    return {**filled, "message": message("x", taskId=task)} if "message" in params else filled


async def test_another_callers_task_is_one_that_is_not_there(bad: Bad) -> None:
    eve = bad.by(bad.eve)
    before = bad.kept()
    for method, params in FOREIGN.items():
        for task in (bad.task, "no-such-task"):
            asked = of(task, params)
            assert await refused(eve, method, **asked) == "TASK_NOT_FOUND", (method, task)
            assert tells_nothing((await answered(eve, method, **asked))[1])
    found = await eve.ask("ListTasks")
    assert (found["tasks"], found["totalSize"]) == ([], 0)
    assert bad.kept() == before


TOO_MUCH: dict[str, dict[str, Any]] = {
    "many parts": {"parts": [{"text": "x"}] * 101},
    "a long text": {"parts": [{"text": SECRET * 120_000}]},
    "large data": {"parts": [{"data": {"x": SECRET * 120_000}}]},
    "a long URL": {"parts": [{"url": f"https://example.com/{SECRET * 300}"}]},
    "a part that is none": {"parts": [{}]},
    "no parts": {"parts": []},
    "a long id": {"messageId": SECRET * 30},
    "no id": {"messageId": ""},
    "a long context": {"contextId": SECRET * 30},
    "large metadata": {"metadata": {"x": SECRET * 120_000}},
    "an agent's message": {"role": "ROLE_AGENT"},
}


async def test_messages_that_are_too_much_are_refused(bad: Bad) -> None:
    ada = bad.by(TOKEN)
    before = bad.kept()
    for name, wrong in TOO_MUCH.items():
        for method in ("SendMessage", "SendStreamingMessage"):
            params = {"message": message("x", **wrong)}
            assert await refused(ada, method, **params) == "INVALID_PARAMS", name
            assert tells_nothing((await answered(ada, method, **params))[1]), name
    status, text = await answered(ada, "SendMessage", message=message("x" * 11 * 2**20))
    error = (200, '"code":-32600') if bad.binding == "JSONRPC" else (413, '"INVALID_REQUEST"')
    expected, reason = error if bad.binding != "GRPC" else ("RESOURCE_EXHAUSTED", "larger than max")
    assert (status, reason in text.replace(": ", ":")) == (expected, True)
    assert bad.kept() == before


URLS = (
    "http://127.0.0.1:1/x",
    "http://[::1]/x",
    "http://169.254.169.254/",
    "http://10.0.0.1/",
    "ftp://example.com/x",
    "x",
)


async def test_events_are_pushed_to_no_address_of_this_machine_or_its_network(bad: Bad) -> None:
    ada = bad.by(TOKEN)
    own = await ada.task("mine")
    before = bad.kept()
    for url in URLS:
        configuration = {"taskPushNotificationConfig": {"url": url}}
        for method in ("SendMessage", "SendStreamingMessage"):
            asked = {"message": message("x"), "configuration": configuration}
            assert await refused(ada, method, **asked) == "INVALID_PARAMS", url
        target = {"taskId": own["id"], "id": "c", "url": url}
        assert await refused(ada, "CreateTaskPushNotificationConfig", **target) == "INVALID_PARAMS", url
    assert bad.kept() == before


TOKENS: dict[str, Any] = {
    "none": lambda: "",
    "made up": lambda: "pgk_made-up",
    "expired": lambda: token(exp=int(time.time()) - 120),
    "not yet good": lambda: token(nbf=int(time.time()) + 600),
    "for another audience": lambda: token(aud="https://elsewhere.example"),
    "of another issuer": lambda: token(iss="https://elsewhere.example"),
    "signed with another key": lambda: token(OTHER_KEY),
    "not signed": lambda: token("", "none"),
    "without an end": lambda: token(exp=None),
}


async def test_tokens_that_do_not_hold_let_nobody_in(bad: Bad) -> None:
    before = bad.kept()
    assert (await bad.by(token()).ask("ListTasks"))["tasks"] == []
    for kind, made in TOKENS.items():
        eve = bad.by(made())
        for method in ("SendMessage", "SendStreamingMessage", "GetTask"):
            params = {"id": bad.task} if method == "GetTask" else {"message": message(SECRET)}
            status, text = await answered(eve, method, **params)
            assert status == ("UNAUTHENTICATED" if bad.binding == "GRPC" else 401), kind
            assert tells_nothing(text)
    assert bad.kept() == before


async def test_a_token_is_good_until_it_expires_and_not_when_it_is_sent_again_after_that(bad: Bad) -> None:
    eve = bad.by(token(exp=int(time.time()) - LEEWAY_SECONDS + 3))
    assert (await eve.ask("ListTasks"))["tasks"] == []
    with anyio.fail_after(30):
        while (await answered(eve, "ListTasks"))[0] not in (401, "UNAUTHENTICATED"):
            await anyio.sleep(0.5)


async def test_what_signs_our_pushes_opens_nothing_when_its_receiver_sends_it_back(bad: Bad) -> None:
    from pygent_a2a.hub import PUSH_KEY
    from pygent_a2a.signing import Signer

    signer = Signer(bad.settings.data_dir / PUSH_KEY)
    claims = {"iss": "pygent", "aud": AUDIENCE, "sub": "eve", "exp": int(time.time()) + 300, "jti": "1"}
    status, _ = await answered(bad.by(signer.token(claims)), "ListTasks")
    assert status in (401, "UNAUTHENTICATED")


async def test_what_is_no_request_gets_the_bindings_own_error(bad: Bad) -> None:
    before = bad.kept()
    if bad.binding == "GRPC":
        async with grpc.aio.insecure_channel(f"127.0.0.1:{bad.settings.a2a_grpc_port}") as channel:
            for method, code in (("SendMessage", "UNKNOWN"), ("Nonsense", "UNIMPLEMENTED")):
                call = channel.unary_unary(f"/lf.a2a.v1.A2AService/{method}")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(b"\xff\xff" + SECRET.encode(), metadata=[("authorization", f"Bearer {TOKEN}")])
                assert caught.value.code().name == code
                assert tells_nothing(str(caught.value.details()))
    else:
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "A2A-Version": "1.0",
            "Content-Type": "application/json",
        }
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
            url = f"{bad.up.url}/agents/tides/"
            if bad.binding == "JSONRPC":
                broken = await http.post(url, content=b'{"' + SECRET.encode())
                unknown = await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": SECRET})
                codes = [answer.json()["error"]["code"] for answer in (broken, unknown)]
                assert codes == [-32700, -32601]
            else:
                broken = await http.post(f"{url}message:send", content=b'{"' + SECRET.encode())
                unknown = await http.post(f"{url}message:{SECRET}", json={})
                assert [answer.status_code for answer in (broken, unknown)] == [400, 404]
            assert tells_nothing(broken.text)
            assert tells_nothing(unknown.text)
    assert bad.kept() == before
