"""Calls that wait here for their host to come back with an answer (front 2026, back 2025).

Each belongs to who made it, and goes on only for the very same call; what is wrongly asked for stays for its
owner. One that nobody comes back for in time is cancelled at its server.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import anyio
import mcp.types as t
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp import MCPError

from pygent_registry.calls import Question
from pygent_registry.questions import ASKED_BY
from pygent_shared.errors import TooMany

MOST_OF_ONE_CALLER = 64
STATE_BYTES = 24
UNKNOWN_STATE = "This requestState is unknown, has expired, or is of another call; make the call anew"


@dataclass(kw_only=True, eq=False)
class Parked:
    """A call that waits for a host's answer."""

    caller: str
    said: MemoryObjectReceiveStream[Any]
    """Questions, and at the end the outcome."""
    scope: anyio.CancelScope
    bound: str = ""
    """What must be the same when its host comes back; known from its first question on."""
    key: str = ""
    open: Question | None = None
    rounds: int = 0
    over: bool = False

    def close(self) -> None:
        """End the call, if it has not ended: cancelling is slow."""
        if not self.over:
            self.scope.cancel()
        self.said.close()


class Parking:
    """The parked calls of one front.

    Args:
        patience: seconds a call waits for its answer.
    """

    def __init__(self, patience: float, most: int = MOST_OF_ONE_CALLER) -> None:
        self._patience, self._most = patience, most
        self._parked: dict[str, Parked] = {}

    def __len__(self) -> int:
        return len(self._parked)

    def put(self, call: Parked, question: Question, server: str) -> dict[str, Any]:
        """Let a call at this server wait, and give the result that asks its host.

        Raises:
            TooMany: its caller has too many that wait.
        """
        own = [parked for parked in self._parked.values() if parked.caller == call.caller]
        if len(own) >= self._most:
            first = min(parked.scope.deadline for parked in own) - anyio.current_time()
            raise TooMany(f'The caller "{call.caller}"', f"{self._most} calls that wait for answers", first)
        state, call.key = secrets.token_urlsafe(STATE_BYTES), secrets.token_hex(4)
        call.open, call.rounds = question, call.rounds + 1
        # The call's own scope ends it in time: nothing needs to sweep.
        call.scope.deadline = anyio.current_time() + self._patience
        self._parked[state] = call
        return {
            "resultType": "input_required",
            "inputRequests": {call.key: question.request},
            "requestState": state,
            "_meta": {ASKED_BY: server},
        }

    def take(self, state: object, bound: str, responses: dict[str, Any]) -> tuple[Parked, Question, Any]:
        """The call that its host has come back to, with its question and the answer. It is taken once.

        Raises:
            MCPError: there is none for this caller and call, or the answer is missing; it stays.
        """
        call = self._parked.get(str(state))
        if call is None or call.open is None or call.bound != bound:
            raise MCPError(t.INVALID_PARAMS, UNKNOWN_STATE)
        if (given := responses.get(call.key)) is None:
            raise MCPError(t.INVALID_PARAMS, f'inputResponses lacks the answer to "{call.key}"')
        question, call.open = call.open, None
        call.scope.deadline = float("inf")
        del self._parked[str(state)]
        return call, question, given

    def forget(self, call: Parked) -> None:
        """This call has ended; where it still waited, nobody is left to hear of it."""
        if call.open is not None:
            call.said.close()
        self._parked = {state: parked for state, parked in self._parked.items() if parked is not call}

    def close(self) -> None:
        """End every parked call: nobody is left to answer."""
        for call in self._parked.values():
            call.close()
        self._parked.clear()
