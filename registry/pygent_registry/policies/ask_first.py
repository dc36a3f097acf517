"""The user is asked before a tool that the entry names in `approve` is called, whichever era the host speaks.

A host of the 2025 era is sent the question in the middle of its call. One of the 2026 era is answered with
it (`input_required`), and calls again with the answer and with a ticket of ours; where the server then asks
something itself, a ticket goes along with its question too, so that the user is not asked twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from pygent_registry import approval
from pygent_registry.entry import fits
from pygent_registry.policies import EntryOf, Handler, Policy, Request
from pygent_registry.redaction import Redactor
from pygent_registry.tickets import Ticket, Tickets


def ask_first(entry_of: EntryOf, redactor: Callable[[], Redactor], patience: float) -> Policy:
    """Let calls of the tools in the entry's `approve` through when the user agrees, each time.

    Args:
        patience: seconds the user has for the answer.
    """
    tickets = Tickets()

    def until() -> float:
        return anyio.current_time() + patience

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            if request.tool is None or not fits(request.tool, entry_of(request.server).approve):
                return await handler(request)
            if request.context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
                question = approval.question(request, redactor())
                approval.accept(request, await approval.asked(request, question, patience))
                return await handler(request)
            call = _call(request)
            if "requestState" not in request.params:
                question = approval.question(request, redactor())
                state = tickets.give(Ticket(call=call, until=until(), approved=False))
                return approval.input_required(question, state)
            ticket = tickets.take(request.params["requestState"], call)
            if not ticket.approved:
                approval.accept(request, (request.params.get("inputResponses") or {}).get(approval.KEY))
            result = await handler(request.with_params(ticket.continued(request.params)))
            if result.get("resultType") != "input_required":
                return result
            own = Ticket(call=call, until=until(), approved=True, state=result.get("requestState"))
            return {**result, "requestState": tickets.give(own)}

        return handle

    return policy


def _call(request: Request) -> str:
    """What must be the same when a host comes back."""
    arguments = request.params.get("arguments")
    return json.dumps([request.caller, request.server, request.tool, arguments], sort_keys=True)
