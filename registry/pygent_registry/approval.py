"""The question to the user whether a call may be made."""

from __future__ import annotations

import json
from typing import Any

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import ValidationError

from pygent_registry.abridge import head_and_tail
from pygent_registry.policies import Request
from pygent_registry.redaction import Redactor
from pygent_shared.errors import NotAllowed

MOST_SHOWN = 1000
KEY = "approval"
_SCHEMA: Any = {"type": "object", "properties": {}}


def question(request: Request, redactor: Redactor) -> t.ElicitRequest:
    """
    Raises:
        NotAllowed: the host cannot ask its user.
    """
    declared = request.context.session.client_capabilities
    form = declared.elicitation if declared else None
    if form is None or (form.form is None and form.url is not None):
        raise NotAllowed(
            f'The tool "{request.name}"',
            "needs the user's approval, and this host cannot ask its user (it has no elicitation)",
            f'Use a host that can, or take it out of "approve" in the entry "{request.server}".',
        )
    arguments = json.dumps(redactor.value(request.params.get("arguments") or {}), ensure_ascii=False)
    shown = head_and_tail(arguments, MOST_SHOWN, " … ")
    message = f'Let "{request.name}" of the server "{request.server}" be called with {shown}?'
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=_SCHEMA))


async def asked(request: Request, question: t.ElicitRequest, patience: float) -> Any:
    """The answer of a host of the 2025 era."""
    related = ServerMessageMetadata(related_request_id=request.context.request_id)
    try:
        with anyio.move_on_after(patience):
            answer = await request.context.session.send_request(question, t.ElicitResult, metadata=related)
            return answer.model_dump(by_alias=True, mode="json")
    except MCPError as error:
        cure = f'Mend the host, or take it out of "approve" in the entry "{request.server}".'
        why = f"needs the user's approval, and asking failed: {error}"
        raise NotAllowed(f'The tool "{request.name}"', why, cure) from error
    return None


def accept(request: Request, answer: Any) -> None:
    """
    Raises:
        NotAllowed: the answer is anything but yes.
    """
    try:
        said = t.ElicitResult.model_validate(answer, by_name=False).action
    except ValidationError:
        said = "cancel"
    if said != "accept":
        why = "was not called: the user declined" if said == "decline" else "was not called: nobody agreed"
        raise NotAllowed(f'The tool "{request.name}"', why, "Do without it, or ask the user why.")


def input_required(question: t.ElicitRequest, state: str) -> dict[str, Any]:
    asked = t.InputRequiredResult(input_requests={KEY: question}, request_state=state)
    return asked.model_dump(by_alias=True, mode="json", exclude_none=True)
