"""DBOS as a process has it: one, on one store, for all of its engines. It ends with the last of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from pygent_shared.durable.executor import Executor, FileExecutor, PostgresExecutor
from pygent_shared.errors import MissingExtra, NotAllowed

if TYPE_CHECKING:
    from dbos import DBOS, DBOSConfig

NAME = "pygent"
VERSION = "1"
"""Of everything, always: what has versions is a workflow, and they are in its name."""

LOGGER = "dbos"

LOOK_SECONDS = 0.05
"""How often messages to workflows are looked for."""
SCHEDULE_SECONDS = 1.0
"""How often it is looked for schedules that are new or were changed."""


class Bell(Event):
    """Tells who listens to queues to stop, as any event does; rung, to look now and not at the next time."""

    def __init__(self) -> None:
        super().__init__()
        self._rung = Event()

    def ring(self) -> None:
        """Have a look taken."""
        self._rung.set()

    def set(self) -> None:
        super().set()
        self.ring()

    def wait(self, timeout: float | None = None) -> bool:
        self._rung.wait(timeout)
        if not self.is_set():
            self._rung.clear()
        return self.is_set()


class Process:
    """This process at work on a store.

    Args:
        store: a SQLite file, or the URL of a PostgreSQL database.

    Raises:
        MissingExtra: the engine is not installed.
    """

    def __init__(self, store: Path | str) -> None:
        try:
            from dbos import DBOS

            from pygent_shared.durable.storage import Json, sqlite
        except ImportError as error:
            raise MissingExtra("durable workflows", "agents") from error
        config: DBOSConfig = {
            "name": NAME,
            "application_version": VERSION,
            "log_level": "ERROR",
            "serializer": Json(),
            "notification_listener_polling_interval_sec": LOOK_SECONDS,
            "scheduler_polling_interval_sec": SCHEDULE_SECONDS,
        }
        self.executor: Executor
        if isinstance(store, Path):
            files = FileExecutor(store.parent / "executors")
            files.tidy()
            self.executor = files
            config["system_database_engine"] = sqlite(store)
            config["system_database_url"] = f"sqlite:///{store}"
        else:
            self.executor = PostgresExecutor(store)
            config["system_database_url"] = store
        config["executor_id"] = self.executor.id
        self.store = store
        self.users = 0
        logging.getLogger(LOGGER).addFilter(_is_news)
        DBOS(config=config)
        DBOS.listen_queues([])  # each engine listens to its own, for as long as it runs
        self.dbos: type[DBOS] = DBOS
        DBOS.launch()

    def listen(
        self, name: str, seconds: float, stop: Event, *, each: int | None = None, all: int | None = None
    ) -> Thread:
        """Take workflows from a queue until told to stop, looking every so many seconds.

        Args:
            each: how many run at once in this process.
            all: how many in all processes together.
        """
        from dbos._dbos import _get_dbos_instance
        from dbos._queue import queue_worker_thread

        queue = self.dbos.register_queue(
            name, global_concurrency=all, polling_interval_sec=seconds, on_conflict="always_update"
        )
        # As it is here: in the database it would be every process's.
        queue.database_backed_queue, queue._worker_concurrency = False, each
        listener = Thread(target=queue_worker_thread, args=(stop, _get_dbos_instance(), queue), daemon=True)
        listener.start()
        return listener

    def requeue(self, ids: Sequence[str], dead: Sequence[str], queue: str) -> None:
        """Put what dead processes were at into the queue it came from, else into this one."""
        from dbos._dbos import _get_dbos_instance

        for id in ids:
            # Private, but with a check of the owner that the public way to resume lacks.
            _get_dbos_instance()._sys_db.reenqueue_for_recovery(id, list(dead), queue)

    def end(self) -> None:
        """Stop. What is unfinished is left to others, or to the next time."""
        self.dbos.destroy(destroy_registry=True)
        self.executor.close()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of DBOS's log is for ours: that what was cancelled ended by that is no error."""
    from dbos import error

    raised = record.exc_info[1] if record.exc_info else None
    return not isinstance(raised, error.DBOSAwaitedWorkflowCancelledError | error.DBOSWorkflowCancelledError)


_lock = Lock()
_process: Process | None = None


def join(store: Path | str) -> Process:
    """The process's one, begun now if there is none.

    Raises:
        NotAllowed: it is at work on another store.
        MissingExtra: the engine is not installed.
    """
    global _process
    with _lock:
        if _process is None:
            _process = Process(store)
        elif _process.store != store:
            why = "are at work on another store in this process, which has one at a time"
            raise NotAllowed("Durable workflows", why, "Give all servers of a process one data_dir.")
        _process.users += 1
        return _process


def leave(process: Process) -> None:
    """Have no more use for it."""
    global _process
    with _lock:
        process.users -= 1
        if not process.users:
            _process = None
            process.end()
