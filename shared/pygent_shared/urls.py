"""URLs, and whom they can be trusted with. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_private(url: str) -> bool:
    """Whether nobody on the way reads or changes what is sent: https, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    )
