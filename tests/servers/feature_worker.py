"""A process that carries features out: `python feature_worker.py FOLDER EVENTS [REQUEST]`, until it is ended.

It ends itself by kill -9 as soon as it has written so many new events down, before anything else knows of the
last one; 0 is never. A request, as JSON, is submitted first.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio

sys.path.append(str(Path(__file__).parent))

from feature_peers import FeaturePeers, features, plan
from workflow_peers import note

from pygent_orchestration.features.model import Request
from pygent_orchestration.features.store import FeatureStore

append = FeatureStore.append


def dying(events: int) -> Any:
    """How an event is written down by a process that does not outlast so many."""
    left = events

    def append_and_die(self: FeatureStore, id: str, *rest: Any, **more: Any) -> Any:
        nonlocal left
        before = len(self.events(id)) if self.ids(1) else 0
        feature = append(self, id, *rest, **more)
        left -= len(self.events(id)) - before
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return feature

    return append_and_die


async def main() -> None:
    folder, events = Path(sys.argv[1]), int(sys.argv[2])
    if events:
        FeatureStore.append = dying(events)  # type: ignore[method-assign]
    async with features(folder, FeaturePeers(folder, [plan("a", "b", "c<a,b")])) as found:
        note(folder / "done", f"{os.getpid()} up")
        for text in sys.argv[3:]:
            await found.submit(Request.model_validate_json(text))
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
