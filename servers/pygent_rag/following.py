"""Keeping a collection equal to its files while the server runs: each change on the disk syncs it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from importlib.util import find_spec
from pathlib import Path

from pygent_rag.patterns import watched_folder
from pygent_rag.sources import is_file_name
from pygent_shared.errors import MissingExtra, PygentError

log = logging.getLogger(__name__)

CLOSING_SECONDS = 10.0
LOOK_MS = 500
"""Between two looks whether to end."""

Ended = Callable[[], bool]


class FollowingEnded(Exception):
    """Ends a sync at work when nobody follows any longer."""


class Follower:
    """Syncs on each change below some sources, in threads, until `close`. Pages are not watched.

    Args:
        sources: as the collection remembers them.
        sync: does it; is given what tells it to end early.

    Raises:
        MissingExtra: watchfiles is not installed.
    """

    def __init__(self, sources: Iterable[str], sync: Callable[[Ended], None]) -> None:
        if find_spec("watchfiles") is None:
            raise MissingExtra("Following changes of files", "watch")
        self.sources = list(sources)
        self._sync = sync
        self._ended = threading.Event()
        self._turn = threading.Lock()
        folders, files = _places(self.sources)
        self._threads = [
            threading.Thread(target=self._run, args=[places, wanted], name="follow files", daemon=True)
            for places, wanted in ((folders, None), ({str(Path(file).parent) for file in files}, files))
            if places
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End it, a sync at work too."""
        self._ended.set()
        for thread in self._threads:
            thread.join(CLOSING_SECONDS)

    def _run(self, places: Collection[str], wanted: Collection[str] | None) -> None:
        """Follow folders with all below them; or of folders some files."""
        from watchfiles import watch

        def matters(change: object, path: str) -> bool:
            return wanted is None or path in wanted

        try:
            for _ in watch(
                *sorted(places),
                watch_filter=matters,
                stop_event=self._ended,
                rust_timeout=LOOK_MS,
                yield_on_timeout=False,
                recursive=wanted is None,
                ignore_permission_denied=True,
                raise_interrupt=False,
            ):
                self._once()
        except Exception:  # the watcher's errors share no class; the server must not end by them
            log.exception("Changes of files are followed no longer; sync(collection=…) still reads them")

    def _once(self) -> None:
        with self._turn:
            try:
                self._sync(self._ended.is_set)
            except FollowingEnded:
                pass
            except PygentError as error:
                log.warning("Following files: %s", error)


def _places(sources: Iterable[str]) -> tuple[set[str], set[str]]:
    """The folders to follow, and the single files."""
    folders: set[str] = set()
    files: set[str] = set()
    for name in sources:
        if is_file_name(name):
            folder = watched_folder(name)
            (files if folder is None else folders).add(folder or name)
    return folders, files
