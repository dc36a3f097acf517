"""Access tokens of an issuer: what is accepted, what is refused and how, and where its keys come from."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import ProtectedResourceMetadata
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pygent_shared.errors import InvalidArgument, KeysUnavailable
from pygent_shared.http import jwks, oauth
from pygent_shared.http.app import build_app
from pygent_shared.http.identity import Principal, principal_of
from pygent_shared.http.jwks import KeySet
from pygent_shared.http.oauth import AccessTokens
from pygent_shared.http.run import address, listen, running
from pygent_shared.serve import lowlevel
from pygent_shared.settings import Settings
from pygent_shared.testing import TOKEN

pytestmark = pytest.mark.anyio

AUDIENCE = "https://box.example/mcp"
METADATA = "https://box.example/.well-known/oauth-protected-resource/mcp"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()

Ask = Callable[..., Awaitable[httpx2.Response]]


def public(algorithm: Any, key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}


KEYS = [
    public(RSAAlgorithm, RSA, "rsa"),
    public(ECAlgorithm, EC, "ec", alg="ES256"),
    public(OKPAlgorithm, ED, "ed"),
    {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"},
]


class Issuer:
    """An authorization server as far as we see it: its metadata and its keys."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[dict[str, Any]] = KEYS
        self.named = url
        self.status = 200
        self.asked: list[str] = []

    def token(
        self,
        key: Any = RSA,
        algorithm: str = "RS256",
        kid: str | None = "rsa",
        typ: str = "at+jwt",
        **claims: Any,
    ) -> str:
        """A good access token, or one that differs where told; a claim that is None is left out."""
        whole = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "client_id": "desk",
            "exp": int(time.time()) + 300,
            "scope": "mcp:read mcp:write",
            **claims,
        }
        headers = {"typ": typ, **({"kid": kid} if kid else {})}
        given = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(given, key, algorithm=algorithm, headers=headers)


@contextmanager
def issuing() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            body: Any = {"keys": issuer.keys}
            if self.path.startswith("/.well-known/"):
                body = {"issuer": issuer.named, "jwks_uri": f"{issuer.url}/keys"}
            self.send_response(issuer.status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        yield found


@pytest.fixture
def trusting(settings: Settings, issuer: Issuer) -> Settings:
    return replace(settings, oauth_issuer=issuer.url, oauth_audience=AUDIENCE, oauth_scopes=("mcp:read",))


async def who(request: Request) -> JSONResponse:
    principal = principal_of(request.scope)
    assert principal is not None
    return JSONResponse({"name": principal.name, "roles": principal.roles, "scopes": principal.scopes})


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Ask]:
    """`await ask(token, path="/who")`."""
    listener = listen(settings)
    app = build_app({"/mcp": lowlevel(MCPServer("empty"))}, settings, TOKEN, more=[Route("/who", who)])
    async with running(app, listener), httpx2.AsyncClient(base_url=address(listener), timeout=20) as http:

        async def ask(token: str, path: str = "/who") -> httpx2.Response:
            return await http.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})

        yield ask


# What is accepted


async def test_an_access_token_tells_who_calls(trusting: Settings, issuer: Issuer) -> None:
    async with served(trusting) as ask:
        for key, algorithm, kid in ((RSA, "RS256", "rsa"), (RSA, "PS384", "rsa"), (EC, "ES256", "ec")):
            answer = await ask(issuer.token(key, algorithm, kid, roles=["reader"]))
            assert answer.status_code == 200, answer.text
            assert answer.json()["name"] == "oauth:ada"
            assert answer.json()["roles"] == ["reader"]
            assert answer.json()["scopes"] == ["mcp:read", "mcp:write"]
        assert (await ask(issuer.token(ED, "EdDSA", "ed", typ="JWT"))).status_code == 200
        assert (await ask(TOKEN)).json()["name"] == "token"


@pytest.mark.parametrize(
    ("claim", "claims", "roles"),
    [
        ("roles", {"roles": "reader writer"}, ["reader", "writer"]),
        ("groups", {"groups": ["staff"]}, ["staff"]),
        ("realm_access.roles", {"realm_access": {"roles": ["reader"]}}, ["reader"]),
        ("https://x.example/roles", {"https://x.example/roles": ["reader"]}, ["reader"]),
        ("roles", {"roles": {"reader": True}}, []),
        ("roles", {}, []),
    ],
)
async def test_roles_are_taken_from_the_claim_that_is_set(
    trusting: Settings, issuer: Issuer, claim: str, claims: dict[str, Any], roles: list[str]
) -> None:
    async with served(replace(trusting, oauth_roles_claim=claim)) as ask:
        assert (await ask(issuer.token(**claims))).json()["roles"] == roles


async def test_a_client_without_a_user_has_the_name_of_the_client(trusting: Settings, issuer: Issuer) -> None:
    async with served(trusting) as ask:
        assert (await ask(issuer.token(sub=None))).json()["name"] == "oauth-client:desk"
        assert (await ask(issuer.token(scope=None, scp=["mcp:read"]))).json()["scopes"] == ["mcp:read"]


# What is refused


def hmac_signed_with_the_public_key(issuer: Issuer) -> str:
    """The algorithm confusion of CVE-2015-9235: the public key, used as if it were a shared secret."""
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = issuer.token().split(".")
    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "kid": "rsa"}).encode()).decode()
    mac = hmac.new(pem, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{jwt.utils.base64url_encode(mac).decode()}"


BAD: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "expired": (lambda i: i.token(exp=int(time.time()) - 60), "has expired"),
    "not yet valid": (lambda i: i.token(nbf=int(time.time()) + 600), "is not valid yet"),
    "without an end": (lambda i: i.token(exp=None), "lacks the claim exp"),
    "for another audience": (
        lambda i: i.token(aud="https://other.example/mcp"),
        "another audience than https",
    ),
    "for no audience": (lambda i: i.token(aud=None), "lacks the claim aud"),
    "of another issuer": (lambda i: i.token(iss="https://evil.example"), "is of another issuer"),
    "of no issuer": (lambda i: i.token(iss=None), "lacks the claim iss"),
    "of nobody": (lambda i: i.token(sub=None, client_id=None), "says of nobody whose it is"),
    "of a name with controls": (lambda i: i.token(sub="a\nb"), "says of nobody whose it is"),
    "not signed": (lambda i: i.token("", "none"), "an algorithm that is not accepted"),
    "signed by the public key": (hmac_signed_with_the_public_key, "an algorithm that is not accepted"),
    "signed by a shared secret": (
        lambda i: i.token(b"secret-secret-secret-secret-secret", "HS256", "shared"),
        "an algorithm that is not accepted",
    ),
    "signed by another's key": (lambda i: i.token(OTHER_RSA), "has a signature that is not right"),
    "signed by an unknown key": (lambda i: i.token(kid="unknown"), "a key that is not the issuer's"),
    "signed by a key of another kind": (lambda i: i.token(kid="ec"), "a key that is not the issuer's"),
    "changed on its way": (lambda i: i.token()[:-4] + "AAAA", "has a signature that is not right"),
    "of another kind": (lambda i: i.token(typ="logout+jwt"), "cannot be understood"),
    "no token at all": (lambda i: "a.b.c", "cannot be understood"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_token_is_refused_that_is(trusting: Settings, issuer: Issuer, what: str) -> None:
    make, why = BAD[what]
    token = make(issuer)
    async with served(trusting) as ask:
        refused = await ask(token)

    assert refused.status_code == 401, refused.text
    assert why in refused.json()["error"]
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="pygent", error="invalid_token"')
    assert f'resource_metadata="{METADATA}"' in challenge
    assert token not in refused.text + challenge


async def test_a_token_without_the_scope_is_refused_with_the_scope(
    trusting: Settings, issuer: Issuer
) -> None:
    async with served(trusting) as ask:
        refused = await ask(issuer.token(scope="mcp:write"))

    assert refused.status_code == 403
    challenge = refused.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="mcp:read"' in challenge


async def test_whoever_sends_nothing_is_told_where_to_learn_more(trusting: Settings) -> None:
    async with served(trusting) as ask:
        refused = await ask("")

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == f'Bearer realm="pygent", resource_metadata="{METADATA}"'


async def test_a_token_that_was_good_is_refused_once_it_has_expired(
    trusting: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "LEEWAY_SECONDS", 0)
    gate = AccessTokens(trusting)
    token = issuer.token(exp=int(time.time()) + 2)

    assert isinstance(await gate.authenticate(token), Principal)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3)
    monkeypatch.setattr(jwt.api_jwt, "datetime", _Later)
    assert not isinstance(await gate.authenticate(token), Principal)


class _Later:
    """The clock that PyJWT reads, some seconds on."""

    @staticmethod
    def now(tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(seconds=3)


# The metadata


async def test_the_metadata_is_open_to_everyone(trusting: Settings, issuer: Issuer) -> None:
    async with served(trusting) as ask:
        for path in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"):
            answer = await ask("", path)
            assert answer.json()["authorization_servers"] == [issuer.url]  # with no slash behind it
            found = ProtectedResourceMetadata.model_validate_json(answer.text)
            assert str(found.resource) == AUDIENCE
            assert found.scopes_supported == ["mcp:read"]


async def test_without_an_issuer_there_is_no_metadata(settings: Settings) -> None:
    async with served(settings) as ask:
        assert (await ask("", "/.well-known/oauth-protected-resource")).status_code == 401
        assert (await ask(TOKEN, "/.well-known/oauth-protected-resource")).status_code == 404


def test_the_audience_is_the_endpoints_own_url_unless_it_is_set() -> None:
    assert oauth.resource_url(Settings()) == "http://127.0.0.1:8700/mcp"
    assert oauth.resource_url(Settings(oauth_audience="api://pygent")) == "http://127.0.0.1:8700/mcp"
    assert oauth.resource_url(Settings(host="::1", port=1)) == "http://[::1]:1/mcp"
    with pytest.raises(InvalidArgument, match="--oauth-audience https://HOST/mcp"):
        oauth.resource_url(Settings(host="0.0.0.0"))


@pytest.mark.parametrize(
    "unsafe", [{"oauth_issuer": "http://id.example"}, {"oauth_jwks": "http://id.example/keys"}]
)
def test_an_issuer_whose_keys_others_could_change_on_the_way_is_refused(unsafe: dict[str, str]) -> None:
    safe = Settings(oauth_issuer="https://id.example", oauth_audience=AUDIENCE)
    with pytest.raises(InvalidArgument, match="could be read and changed on its way"):
        AccessTokens(replace(safe, **unsafe))  # type: ignore[arg-type]


# The keys


async def test_keys_are_fetched_once_and_tokens_checked_without_asking_again(
    trusting: Settings, issuer: Issuer
) -> None:
    gate = AccessTokens(trusting)
    for number in range(5):
        assert isinstance(await gate.authenticate(issuer.token(jti=str(number))), Principal)

    assert issuer.asked == ["/.well-known/oauth-authorization-server", "/keys"]


async def test_an_unknown_key_has_them_fetched_again_but_not_at_every_attempt(
    trusting: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = AccessTokens(trusting)
    assert isinstance(await gate.authenticate(issuer.token()), Principal)
    issuer.keys = [public(RSAAlgorithm, OTHER_RSA, "next")]
    rotated = issuer.token(OTHER_RSA, kid="next")
    for _ in range(20):
        assert not isinstance(await gate.authenticate(rotated), Principal)  # a moment after the last fetch
    assert issuer.asked.count("/keys") == 1
    monkeypatch.setattr(jwks, "PAUSE_SECONDS", 0.0)

    assert isinstance(await gate.authenticate(rotated), Principal)
    assert issuer.asked.count("/keys") == 2


async def test_keys_may_lie_in_a_file(trusting: Settings, issuer: Issuer, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": KEYS}), encoding="utf-8")
    gate = AccessTokens(replace(trusting, oauth_jwks=str(path)))

    assert isinstance(await gate.authenticate(issuer.token()), Principal)
    assert issuer.asked == []


async def test_while_the_keys_cannot_be_had_it_says_so_and_others_get_in(
    trusting: Settings, issuer: Issuer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "PAUSE_SECONDS", 0.0)
    issuer.status = 500
    token = issuer.token()
    async with served(trusting) as ask:
        for _ in range(3):
            assert (await ask(token)).status_code == 503
        assert (await ask(TOKEN)).status_code == 200
        issuer.status = 200
        assert (await ask(token)).status_code == 200
        issuer.status = 500
        assert (await ask(issuer.token(jti="other"))).status_code == 200

    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "answered 500" in line.getMessage()
    assert token not in caplog.text


async def test_metadata_of_another_issuer_is_not_believed(trusting: Settings, issuer: Issuer) -> None:
    issuer.named = "https://evil.example"
    async with served(trusting) as ask:
        assert (await ask(issuer.token())).status_code == 503

    assert "/keys" not in issuer.asked


async def test_an_issuer_leads_to_no_address_where_a_cloud_keeps_its_keys() -> None:
    with pytest.raises(KeysUnavailable, match="link-local"):
        await KeySet("https://169.254.169.254", "https://169.254.169.254/keys").refresh()
