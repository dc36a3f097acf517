"""Calls that were answered with a question, and what their hosts must show to go on with them."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from pygent_shared.errors import InvalidArgument

MOST_TICKETS = 1024


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A call that waits for its host to come back: which one, and what it waits for."""

    call: str
    until: float
    approved: bool
    """Whether the user has agreed, and it is the server that asked something."""
    state: str | None = None
    """The server's own `requestState`."""

    def continued(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The params as the server is to get them: with its own state, and without what was for us."""
        ours = ("requestState",) if self.approved else ("requestState", "inputResponses")
        own = {} if self.state is None else {"requestState": self.state}
        return {key: value for key, value in params.items() if key not in ours} | own


class Tickets:
    """Each is taken once, for the very call that it was given for, and not for ever."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Ticket] = OrderedDict()

    def give(self, ticket: Ticket) -> str:
        state = secrets.token_urlsafe(24)
        self._open[state] = ticket
        if len(self._open) > MOST_TICKETS:
            self._open.popitem(last=False)
        return state

    def take(self, state: object, call: str) -> Ticket:
        """
        Raises:
            InvalidArgument: there is no such ticket for that call.
        """
        ticket = self._open.get(str(state))
        if ticket is None or ticket.call != call or ticket.until < anyio.current_time():
            why = "is unknown, has expired, or is of another call"
            raise InvalidArgument("requestState", why, "Make the call anew.")
        return self._open.pop(str(state))
