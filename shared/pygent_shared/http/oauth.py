"""An OAuth 2.1 resource server: access tokens that are JWTs of one issuer, and the metadata that names it.

Sources: RFC 9068 (JWT access tokens), RFC 8725 (JWT best practices), RFC 9728 (protected resource metadata),
MCP 2026-07-28, Authorization.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jwt
from jwt import exceptions as problems
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter
from starlette.routing import Route

from pygent_shared.errors import InvalidArgument, KeysUnavailable
from pygent_shared.http.identity import Principal, Refusal
from pygent_shared.http.jwks import ALGORITHMS, KeySet
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

METADATA_PATH = "/.well-known/oauth-protected-resource"
LEEWAY_SECONDS = 30
# A token that was found good is not checked again for this long, nor after it expires.
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 1024
_ALGORITHMS = sorted({name for names in ALGORITHMS.values() for name in names})
# RFC 9068, section 4, and what issuers write who do not follow it; none of the other kinds there are.
_TYPES = ("at+jwt", "jwt")
_LONGEST_NAME = 200
# As written: clients compare issuers letter by letter, and pydantic would put a slash behind a bare host.
_URL = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))


class AccessTokens:
    """Tells callers by the issuer's access tokens.

    Raises:
        InvalidArgument: the settings do not say enough, or a URL is not safe.
    """

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oauth_issuer
        self._audience = settings.oauth_audience or resource_url(settings)
        self._scopes = settings.oauth_scopes
        self._roles_claim = settings.oauth_roles_claim
        self._keys = KeySet(settings.oauth_issuer, settings.oauth_jwks)
        self._remembered: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._complained = ""

    async def authenticate(self, token: str) -> Principal | Refusal | None:
        """See `Authenticator`."""
        if token.count(".") != 2:
            return None
        mark = hashlib.sha256(token.encode("latin-1")).digest()
        if (known := self._remembered.get(mark)) is not None and time.time() < known[1]:
            return known[0]
        try:
            claims = await self._claims(token)
        except problems.PyJWTError as error:
            return Refusal(status=401, sentence=self._why(error), error="invalid_token")
        except KeysUnavailable as error:
            if str(error) != self._complained:
                self._complained = str(error)
                log.error("%s", error)
            why = f"The keys of {self._issuer} cannot be had, so its tokens cannot be checked. Try later."
            return Refusal(status=503, sentence=why)
        if missing := [scope for scope in self._scopes if scope not in _scopes_of(claims)]:
            why = f"The access token lacks the scope {' '.join(missing)}. Ask {self._issuer} for one with it."
            return Refusal(status=403, sentence=why, error="insufficient_scope", scope=" ".join(self._scopes))
        principal = self._principal(claims)
        if not principal.name.isprintable() or not 0 < len(principal.name.partition(":")[2]) <= _LONGEST_NAME:
            why = (
                f"The access token says of nobody whose it is. Get one with the claim sub from {self._issuer}"
            )
            return Refusal(status=401, sentence=why, error="invalid_token")
        self._remember(mark, principal, min(float(claims["exp"]), time.time() + REMEMBERED_SECONDS))
        return principal

    async def _claims(self, token: str) -> dict[str, Any]:
        """What the token says, once it is sure that the issuer says it, to us, and still.

        Raises:
            jwt.PyJWTError: it is not so.
            KeysUnavailable: nobody can tell.
        """
        header = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid", "")
        if str(header.get("typ", "jwt")).lower().removeprefix("application/") not in _TYPES:
            raise problems.InvalidTokenError
        if algorithm not in _ALGORITHMS:
            raise problems.InvalidAlgorithmError
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise problems.InvalidKeyError
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
        return claims

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = str(claims.get("sub") or "")
        client = str(claims.get("client_id") or claims.get("azp") or "")
        name = f"oauth:{subject}" if subject else f"oauth-client:{client}"
        return Principal(
            name=name,
            kind="jwt",
            credential=client,
            roles=_words(_at(claims, self._roles_claim)),
            scopes=_scopes_of(claims),
            issuer=self._issuer,
        )

    def _remember(self, mark: bytes, principal: Principal, until: float) -> None:
        self._remembered[mark] = (principal, until)
        self._remembered.move_to_end(mark)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    def _why(self, error: problems.PyJWTError) -> str:
        match error:
            case problems.ExpiredSignatureError():
                why = "has expired"
            case problems.ImmatureSignatureError():
                why = "is not valid yet"
            case problems.InvalidAudienceError():
                why = f"is for another audience than {self._audience}"
            case problems.InvalidIssuerError():
                why = "is of another issuer"
            case problems.InvalidAlgorithmError():
                why = "is signed by an algorithm that is not accepted"
            case problems.InvalidKeyError():
                why = "is signed by a key that is not the issuer's"
            case problems.InvalidSignatureError():
                why = "has a signature that is not right"
            case problems.MissingRequiredClaimError():
                why = f"lacks the claim {error.claim}"
            case _:
                why = "cannot be understood"
        return f"The access token {why}. Get one from {self._issuer}"


def resource_url(settings: Settings) -> str:
    """The URL hosts know `/mcp` by.

    Raises:
        InvalidArgument: nothing says which that is.
    """
    if settings.oauth_audience.startswith(("http://", "https://")):
        return settings.oauth_audience
    if settings.host in ("0.0.0.0", "::") or not settings.port:
        why = f"is empty, and {settings.host}:{settings.port} is no address that tokens can be made for"
        raise InvalidArgument("oauth_audience", why, "Name it: --oauth-audience https://HOST/mcp")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}/mcp"


def metadata_url(settings: Settings) -> str:
    """Where clients learn how to get a token."""
    return str(build_resource_metadata_url(_URL.validate_python(resource_url(settings))))


def metadata_routes(settings: Settings) -> list[Route]:
    """The metadata of the resource `/mcp`, at its own address and at the root's."""
    (route,) = create_protected_resource_routes(
        _URL.validate_python(resource_url(settings)),
        [_URL.validate_python(settings.oauth_issuer)],
        scopes_supported=list(settings.oauth_scopes) or None,
        resource_name="PyGent Factory",
    )
    paths = dict.fromkeys((route.path, METADATA_PATH))
    return [Route(path, endpoint=route.endpoint, methods=["GET", "OPTIONS"]) for path in paths]


def _scopes_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """RFC 8693, section 4.2; some issuers call it `scp`, and some write a list."""
    return _words(claims.get("scope", claims.get("scp")))


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _at(claims: Mapping[str, Any], path: str) -> object:
    """The claim of that name, else the value at that path."""
    if path in claims:
        return claims[path]
    found: object = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
