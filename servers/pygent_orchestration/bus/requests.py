"""A message that wants an answer."""

from __future__ import annotations

import anyio

from pygent_orchestration.bus.bus import Bus
from pygent_orchestration.bus.message import AgentMessage


async def asked(bus: Bus, message: AgentMessage, within: float) -> AgentMessage | None:
    """Send a message, and wait for the first that answers it: one for its sender, about the same. None where
    there is none in so many seconds; one that comes later is kept for its sender, as any is."""
    about = message.correlation_id or message.id
    async with bus.listening(message.sender) as heard:
        await bus.send(message)
        with anyio.move_on_after(within):
            async for delivery in heard:
                answer = delivery.message
                if answer.correlation_id == about and answer.sender != message.sender:
                    if delivery.receipt:
                        await bus.done(message.sender, [delivery.receipt])
                    return answer
    return None
