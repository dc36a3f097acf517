"""Signed cards: a JWS (RFC 7515, ES256) over the canonical JSON (RFC 8785), and the key to check it with."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from a2a.types import AgentCard
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pygent_shared.errors import FileRefused

JWKS = "/.well-known/jwks.json"
ALGORITHM = "ES256"
_CURE = "Make one: openssl ecparam -name prime256v1 -genkey -noout -out cards.pem"


def made_key(path: Path) -> Path:
    """The file of a key, which is made unless it is there.

    Raises:
        FileRefused: it cannot be made.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
            with suppress(FileExistsError):  # of two that make one at once, the first wins for both
                os.link(draft, path)
            draft.unlink()
    except OSError as error:
        cure = "Choose another folder: export PYGENT_DATA_DIR=~/pygent-data"
        raise FileRefused(path, f"cannot hold a key: {error.strerror}", cure) from error
    return path


class Signer:
    """Signs with the key in a PEM file.

    Raises:
        FileRefused: it holds no private key on the curve P-256.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._pem = path.read_bytes()
            key = load_pem_private_key(self._pem, None)
        except OSError as error:
            raise FileRefused(path, f"cannot be read: {error.strerror}", _CURE) from error
        except (ValueError, TypeError) as error:
            raise FileRefused(path, "holds no private key without a password", _CURE) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise FileRefused(path, "holds no key on the curve P-256", _CURE)
        numbers = key.public_key().public_numbers()
        self._public = {"crv": "P-256", "kty": "EC", "x": _octets(numbers.x), "y": _octets(numbers.y)}
        self._id = _thumbprint(self._public)

    def sign(self, card: AgentCard, base: str) -> None:
        """Add a signature to a card that is served below a URL."""
        from a2a.utils.signing import create_agent_card_signer

        header: Any = {"kid": self._id, "alg": ALGORITHM, "jku": base + JWKS, "typ": "JOSE"}
        create_agent_card_signer(self._pem, header)(card)

    def token(self, claims: dict[str, Any]) -> str:
        """Claims as a signed token (RFC 7519)."""
        import jwt

        return jwt.encode(claims, self._pem, ALGORITHM, {"kid": self._id})

    def jwks(self) -> dict[str, Any]:
        """The public key as a key set (RFC 7517)."""
        return {"keys": [{**self._public, "kid": self._id, "alg": ALGORITHM, "use": "sig"}]}


def _octets(number: int) -> str:
    return _encoded(number.to_bytes(32, "big"))


def _thumbprint(public: dict[str, str]) -> str:
    """RFC 7638."""
    return _encoded(
        hashlib.sha256(json.dumps(public, separators=(",", ":"), sort_keys=True).encode()).digest()
    )


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
