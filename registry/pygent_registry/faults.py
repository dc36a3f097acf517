"""What went wrong with a server, in a clause, and what to type about it. Pure."""

from __future__ import annotations

import shlex

import mcp.types as t
from mcp import MCPError

from pygent_registry.entry import Entry
from pygent_registry.output import Output
from pygent_shared.errors import AgentUnavailable, LaunchRefused, NotApproved
from pygent_shared.http.credentials import NO_TOKEN, REFUSES


def why(error: BaseException) -> str:
    """What an error that ended a connection means, as a clause that follows the server's name."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case FileNotFoundError(filename=str(program)):
            return f'cannot be started: there is no program "{program}" here'
        case PermissionError(filename=str(program)):
            return f'cannot be started: "{program}" may not be executed'
        case NotApproved() | LaunchRefused() | AgentUnavailable():
            return error.why
        case MCPError() if error.error.code == t.CONNECTION_CLOSED:
            return "ended before it answered initialize"
        case MCPError() if error.error.message.startswith(("cannot be reached", NO_TOKEN, REFUSES)):
            return error.error.message
        case MCPError():
            return f"refused to start: {error.error.message}"
        case _:
            return f"failed: {str(error) or type(error).__name__}"


def is_only_modern(error: BaseException) -> bool:
    """Whether a server refused the 2025 era's handshake because it speaks the 2026 era only."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return isinstance(error, MCPError) and error.error.code == t.UNSUPPORTED_PROTOCOL_VERSION


def own_cure(error: BaseException) -> str:
    """What to type, where the error itself knows it; "" where it does not."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error.cure if isinstance(error, AgentUnavailable) else ""


def cure(entry: Entry, why: str, output: Output, *, timed_out: bool) -> str:
    """What a person can do about it, in one sentence."""
    if output.cure:
        return output.cure
    if "otherwise than approved" in why:
        return f"See it: pygent approve {entry.name} --diff; if it is right: pygent approve {entry.name}"
    if NO_TOKEN in why:
        return 'Mend "auth" in its entry: token_url, client_id, client_secret and scope'
    if REFUSES in why:
        how = "Its token was not good enough: mend" if entry.auth else "It wants a token: give it"
        return f'{how} "auth", or a header Authorization, in its entry'
    if entry.kind in ("http", "sse", "agent"):
        return output.hide(f"See that it runs and can be reached: curl -i {entry.url}")
    if entry.kind == "in-process":
        known = "There is no" not in why
        return f"Run it alone to see more: pygent serve {entry.server}" if known else "Mend it in its entry"
    if "no program" in why:
        return f'Install "{entry.command}", or mend "command" in its entry'
    started_by = shlex.join((entry.command, *entry.args)) if entry.command else f"pygent serve {entry.server}"
    by_hand = output.hide(f"Run it by hand to see more: {started_by}")
    if output.rubbish:
        return f"A server may print only MCP to stdout; make it log to stderr. {by_hand}"
    if timed_out:
        return f'If it is only slow, allow it more: "startTimeout": 120 in its entry. {by_hand}'
    return by_hand
