"""What travels through a host and comes back, bound to a caller: a server's `requestState`, or a task's id.

It is sealed: an HMAC over it, what it is bound to, and when it ends. Nothing is kept here but the key, in
DATA_DIR/state.key, so that it is still good after a restart.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cached_property
from pathlib import Path

log = logging.getLogger(__name__)

KEY_BYTES = 32
NAME = "state.key"
FOREVER = 2.0**62
"""A time that does not come."""
_TIME_BYTES = 8


class Seal:
    """Seals with the key in `path`, made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seal(self, state: str, bound: str, until: float) -> str:
        """The state as a host is given it, good until that time (seconds since 1970)."""
        whole = int(until).to_bytes(_TIME_BYTES, "big") + state.encode()
        return urlsafe_b64encode(self._mac(whole, bound) + whole).decode()

    def open(self, sealed: object, bound: str, now: float) -> str | None:
        """The state; None where it is not sealed by us, for another call, or too old."""
        try:
            raw = urlsafe_b64decode(str(sealed))
        except ValueError:
            return None
        if urlsafe_b64encode(raw).decode() != sealed:  # the decoder passes over what is no base64
            return None
        mac, whole = raw[:KEY_BYTES], raw[KEY_BYTES:]
        if not hmac.compare_digest(mac, self._mac(whole, bound)):
            return None
        if int.from_bytes(whole[:_TIME_BYTES], "big") < now:
            return None
        return whole[_TIME_BYTES:].decode()

    def _mac(self, whole: bytes, bound: str) -> bytes:
        return hmac.digest(self._key, bound.encode() + b"\0" + whole, "sha256")

    @cached_property
    def _key(self) -> bytes:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _read(self._path) or _made(self._path)
        except OSError as error:
            log.info("%s cannot be kept (%s): a restart ends what waits for its host", self._path, error)
            return secrets.token_bytes(KEY_BYTES)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size == KEY_BYTES else None
    except FileNotFoundError:
        return None


def _made(path: Path) -> bytes:
    """Written aside and linked into place, so that of two processes starting at once one wins for both."""
    key = secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
        os.link(draft, path)
    except FileExistsError:
        return _read(path) or key
    finally:
        draft.unlink(missing_ok=True)
    return key
