"""The public keys of an authorization server (RFC 7517): fetched when needed, kept, and fetched again.

Only public keys for signatures count. A shared secret in the set, which anyone who reads it could sign with,
does not.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx2
from jwt import PyJWK
from jwt.exceptions import PyJWTError
from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls

from pygent_shared.errors import InvalidArgument, KeysUnavailable
from pygent_shared.http.outbound import Outbound
from pygent_shared.urls import is_private

log = logging.getLogger(__name__)

# Key type -> what it may sign with (RFC 7518, section 3.1; RFC 8037). No "none", and no HMAC.
ALGORITHMS: Mapping[tuple[str, str], Sequence[str]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
LIFETIME_SECONDS = 3600.0
# A key that is not known has the set fetched again, but no more often than this.
PAUSE_SECONDS = 30.0
FETCH_SECONDS = 5.0
MOST_BYTES = 1_000_000


class KeySet:
    """The keys at `source`, a URL or a file; where it is empty, at the URL that the issuer's metadata names.

    Raises:
        InvalidArgument: a URL is not https (http is enough on this machine).
    """

    def __init__(self, issuer: str, source: str) -> None:
        for name, url in (("oauth_issuer", issuer), ("oauth_jwks", source)):
            if "://" in url and not is_private(url):
                cure = "Use its https:// URL."
                raise InvalidArgument(name, f"{url} could be read and changed on its way", cure)
        self._issuer = issuer
        self._source = source
        self._keys: list[dict[str, Any]] = []
        self._made: dict[tuple[str, str], PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching = anyio.Lock()

    async def find(self, kid: str, algorithm: str) -> PyJWK | None:
        """The key of that id for that algorithm; where the token names none, the only one that fits.

        Raises:
            KeysUnavailable: no keys were ever fetched, and now they cannot be.
        """
        if time.monotonic() - self._fetched > LIFETIME_SECONDS:
            await self.refresh()
        found = self._found(kid, algorithm)
        if found is None and kid:
            await self.refresh()
            found = self._found(kid, algorithm)
        return found

    def _found(self, kid: str, algorithm: str) -> PyJWK | None:
        if (made := self._made.get((kid, algorithm))) is not None:
            return made
        fit = [key for key in self._keys if _fits(key, algorithm) and kid in ("", key.get("kid"))]
        if len(fit) != 1 and not kid:
            return None
        for key in fit:
            try:
                made = self._made[kid, algorithm] = PyJWK(key, algorithm)
            except PyJWTError as error:
                log.warning('A key of "%s" cannot be used: %s', self._issuer, error)
                continue
            return made
        return None

    async def refresh(self) -> None:
        """Fetch the set again, once for all who wait, unless that was tried a moment ago.

        Raises:
            KeysUnavailable: there is none.
        """
        async with self._fetching:
            if time.monotonic() - self._tried < PAUSE_SECONDS:
                if not self._keys:
                    raise KeysUnavailable(
                        self._source or self._issuer, "the last attempt failed a moment ago"
                    )
                return
            self._tried = time.monotonic()
            try:
                keys = await self._fetch()
            except (httpx2.HTTPError, OSError, ValueError, TypeError, KeyError) as error:
                if not self._keys:
                    why = str(error) or type(error).__name__
                    raise KeysUnavailable(self._source or self._issuer, why) from error
                log.warning('The keys of "%s" could not be fetched again: %s', self._issuer, error)
                return
            self._keys, self._made = keys, {}
            self._fetched = time.monotonic()

    async def _fetch(self) -> list[dict[str, Any]]:
        if self._source and "://" not in self._source:
            text = await anyio.Path(Path(self._source).expanduser()).read_text(encoding="utf-8")
            whole = json.loads(text)
        else:
            async with httpx2.AsyncClient(
                timeout=FETCH_SECONDS, headers={"Accept": "application/json"}, transport=Outbound()
            ) as http:
                with anyio.fail_after(FETCH_SECONDS):
                    whole = await _json(http, self._source or await self._named_by_issuer(http))
        found = [key for key in whole["keys"] if isinstance(key, dict) and _kind(key) in ALGORITHMS]
        if not found:
            raise ValueError("there is no public key for signatures among them")
        return found

    async def _named_by_issuer(self, http: httpx2.AsyncClient) -> str:
        """The `jwks_uri` of the issuer's metadata (RFC 8414, OpenID Connect Discovery)."""
        why = "it serves no metadata"
        for url in build_oauth_authorization_server_metadata_discovery_urls(self._issuer, self._issuer):
            try:
                metadata = await _json(http, url)
            except (httpx2.HTTPStatusError, ValueError) as error:
                why = str(error)
                continue
            if metadata["issuer"] != self._issuer:
                raise ValueError(f"the metadata at {url} is of another issuer, {metadata['issuer']}")
            found = str(metadata["jwks_uri"])
            if not is_private(found):
                raise ValueError(f"its jwks_uri {found} is not https")
            return found
        raise ValueError(why)


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether the key is a public one that may check signatures of that algorithm."""
    return (
        algorithm in ALGORITHMS[_kind(key)]
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
    )


def _kind(key: Mapping[str, Any]) -> tuple[str, str]:
    return str(key.get("kty")), str(key.get("crv", ""))


async def _json(http: httpx2.AsyncClient, url: str) -> Any:
    async with http.stream("GET", url) as response:
        if response.status_code != 200:
            raise httpx2.HTTPStatusError(
                f"{url} answered {response.status_code}", request=response.request, response=response
            )
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise ValueError(f"{url} answered more than {MOST_BYTES:,} bytes")
    return json.loads(body)
