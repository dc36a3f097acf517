"""Documents that clients keep: each with a tag that changes with it, and 304 where they have it already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

MOST = 256
"""Documents whose time of change is remembered."""


class Documents:
    """Answers with documents as they are now.

    Args:
        cache: the header Cache-Control.
    """

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._changed: dict[str, tuple[str, datetime]] = {}

    def answer(self, request: Request, document: Mapping[str, Any]) -> Response:
        """The document, or that it is the one the client has."""
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        # A signature differs at each signing of the same card, so it does not count.
        counted = {key: value for key, value in document.items() if key != "signatures"}
        tag = f'W/"{hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:32]}"'
        headers = {
            "ETag": tag,
            "Cache-Control": self._cache,
            "Last-Modified": format_datetime(self._since(str(request.url), tag), usegmt=True),
            "Vary": "Host",
        }
        known = {
            one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")
        }
        if "*" in known or tag.removeprefix("W/") in known:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    def _since(self, url: str, tag: str) -> datetime:
        known = self._changed.get(url)
        if known is None or known[0] != tag:
            if len(self._changed) >= MOST:
                self._changed.clear()
            known = self._changed[url] = (tag, datetime.now(UTC))
        return known[1]
