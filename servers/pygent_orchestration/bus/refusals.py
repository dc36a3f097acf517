"""What a bus refuses."""

from __future__ import annotations

from pygent_orchestration.bus.bus import PAYLOAD_BYTES
from pygent_orchestration.bus.message import AgentMessage
from pygent_shared.errors import InvalidArgument, TooMany

_LATER_SECONDS = 60.0


class Full(TooMany):
    """A recipient has too many messages that nobody dealt with."""

    def __init__(self, recipient: str, most: int) -> None:
        super().__init__(f'The inbox of "{recipient}"', f"{most:,} unread messages", _LATER_SECONDS)


class NoReceipt(InvalidArgument):
    """A receipt that was not given."""

    def __init__(self, receipt: str) -> None:
        cure = "Give those that receive_messages gave."
        super().__init__("done", f"{receipt[:80]!r} is no receipt of yours", cure)


def refuse_large(message: AgentMessage) -> None:
    """Raises InvalidArgument: the message is too large for the bus."""
    size = len(message.model_dump_json())
    if size > PAYLOAD_BYTES:
        cure = "Put it into a file, and send its path."
        why = f"it makes a message of {size:,} bytes, and {PAYLOAD_BYTES:,} are the most"
        raise InvalidArgument("payload", why, cure)
