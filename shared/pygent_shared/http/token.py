"""The bearer token: given, or generated once into a file that only its owner can read."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from pygent_shared.errors import FileRefused
from pygent_shared.settings import Settings

# RFC 6750, section 2.1: what a bearer token may consist of.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def token_file(settings: Settings) -> Path:
    """Where the generated token is kept."""
    return settings.data_dir / "token"


def bearer_token(settings: Settings) -> str:
    """The token callers must send, generated (256 bits) on first use; "" when none is wanted.

    Raises:
        FileRefused: the token file cannot be read or made.
    """
    if settings.auth == "none":
        return ""
    if settings.token:
        return settings.token
    path = token_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        token = _read(path) or _create(path)
    except OSError as error:
        cure = "Choose another folder: export PYGENT_DATA_DIR=~/pygent-data"
        raise FileRefused(path, f"cannot hold the access token: {error.strerror}", cure) from error
    if not _TOKEN.fullmatch(token):  # an empty one would let everyone in
        raise FileRefused(path, "holds no usable access token", f'Delete it, for a new one: rm "{path}"')
    return token


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _create(path: Path) -> str:
    """Written aside and linked into place, so that of two servers starting at once one wins for both."""
    token = secrets.token_urlsafe(32)
    draft = path.with_name(f".token-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            return _read(path)
        return token
    finally:
        draft.unlink()
