"""Sessions of the 2025 era over HTTP: so many for each caller, so that none can take them all.

The SDK does the rest: a session is bound to who opened it, ends when it was idle for half an hour, and there
is a limit for all callers together.
"""

from __future__ import annotations

from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


class CappedSessions(StreamableHTTPSessionManager):
    """The SDK's, with a limit for each caller. It hangs on two private parts of the SDK, both named here."""

    def __init__(self, app: Server[Any], *, most_each: int, **options: Any) -> None:
        super().__init__(app=app, **options)
        self._most_each = most_each

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        if requestor is not None and self._open_by(requestor) >= self._most_each:
            return None
        return super()._admit_session(requestor)

    def _open_by(self, requestor: AuthorizationContext) -> int:
        return sum(owner == requestor for owner in self._session_owners.values())
