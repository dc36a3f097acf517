"""Making a collection equal to all that was ever read into it.

The one rule is that of `ingest`: a document is taken out only when its file is proved to be gone. A folder
that is gone may be a disk that is not there today; what was stored of it is kept until somebody deletes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pygent_rag import files
from pygent_rag.ingest import FileReport, Watcher, ingest, unwatched
from pygent_rag.reader import Reader
from pygent_rag.sources import Source
from pygent_rag.store import Store
from pygent_shared.errors import FileRefused, InvalidArgument, NotAllowed


def sync(
    store: Store,
    collection: str,
    named: Callable[[str], Source],
    reader: Reader,
    *,
    max_bytes: int,
    watch: Watcher = unwatched,
) -> Iterator[FileReport]:
    """Read in anew all sources of a collection; a report for each file, and for each source that cannot be.

    Args:
        named: what a source's name means; see `pygent_rag.sources.named`.
        max_bytes, watch: as for `ingest`.

    Raises:
        InvalidArgument: the collection remembers no source.
    """
    names = store.sources(collection)
    if not names:
        why = f'"{collection}" remembers no files, folders or pages that were read into it'
        raise InvalidArgument("collection", why, f'Read them in: ingest(path=…, collection="{collection}").')
    progress = _Progress(watch)
    seen: set[str] = set()
    for name in names:
        try:
            source = named(name)
            reports = ingest(store, collection, source, reader, max_bytes=max_bytes, watch=progress)
            for report in reports:
                if report.outcome != "unchanged" or report.path not in seen:
                    yield report
                seen.add(report.path)
        except (FileRefused, NotAllowed) as error:
            yield _without(store, collection, name, error)
        progress.next()


class _Progress:
    """Sums the progress of sources that come one after the other."""

    def __init__(self, watch: Watcher) -> None:
        self._watch = watch
        self._before = self._total = 0

    def __call__(self, done: int, total: int, path: str) -> None:
        self._total = max(self._total, total)
        self._watch(self._before + done if total else 0, self._before + total if total else 0, path)

    def next(self) -> None:
        self._before += self._total
        self._total = 0


def _without(store: Store, collection: str, name: str, error: FileRefused | NotAllowed) -> FileReport:
    """What becomes of a source that cannot be read."""
    stored = store.fingerprints(collection, name)
    if set(stored) == {name} and files.is_gone(name):
        store.remove(collection, [name])
        store.forget(collection, name)
        return FileReport(path=name, outcome="removed", why="the file is gone")
    why = str(error)
    if stored and "is kept" not in why:
        why += (
            f' What was stored of it is kept; take it out: delete(collection="{collection}", path="{name}").'
        )
    return FileReport(path=name, outcome="refused", why=why)
