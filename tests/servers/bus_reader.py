"""A process on the bus: `python bus_reader.py URL READER`.

It receives for a reader, says what, and then beats until it is ended, without being done with it.
"""

from __future__ import annotations

import asyncio
import sys

from pygent_orchestration.bus.presence import Presence
from pygent_orchestration.bus.redis import RedisBus


async def main() -> None:
    bus = RedisBus(sys.argv[1])
    presence = Presence(bus, dict)
    await presence.on()
    for delivery in await bus.receive(sys.argv[2], within=30):
        print(delivery.message.id, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
