"""Many texts embedded by sentence-transformers in a process of its own, where there is no ONNX Runtime."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec

from pygent_shared.embeddings import Embedder, Vector
from pygent_shared.embeddings.worker import receive, send

log = logging.getLogger(__name__)

START_SECONDS = 300.0
ANSWER_SECONDS = 300.0
"""How long a batch may take."""


def is_possible() -> bool:
    """Whether what the process needs is installed."""
    return all(find_spec(package) for package in ("sentence_transformers", "torch"))


class ChildEmbedder:
    """An `Embedder` whose process (`pygent_shared.embeddings.worker`) runs while it has work, and ends soon
    after. Safe for several threads.

    Args:
        model: as of the settings.
        own: computes the same vectors here, should the process fail; then it is not started again.

    Attributes:
        precision: what the process computed in; "" before it ran.
    """

    def __init__(self, model: str, own: Embedder) -> None:
        self.model = own.model
        self.dimensions = own.dimensions
        self.precision = ""
        self._named = model
        self._own = own
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._failed = False

    @property
    def is_running(self) -> bool:
        """Whether its process is there, so that a few texts more start none."""
        return self._child is not None and self._child.poll() is None

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        with self._lock:
            if not self._failed:
                try:
                    return self._asked(list(texts))
                except (OSError, EOFError) as error:
                    self._failed = True
                    self._end()
                    log.warning("Texts are embedded without a process of their own, more slowly: %s", error)
        return self._own.embed(texts)

    def _asked(self, texts: list[str]) -> list[Vector]:
        child = self._started()
        assert child.stdin is not None
        send(child.stdin, json.dumps(texts).encode())
        body = self._answer(child, ANSWER_SECONDS)
        size = 4 * self.dimensions
        if len(body) != size * len(texts):
            raise EOFError("its answer has another length than was asked for")
        return [body[start : start + size] for start in range(0, len(body), size)]

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            command = [sys.executable, "-m", "pygent_shared.embeddings.worker", self._named]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            weakref.finalize(self, _ended, self._child)
            self.precision = self._answer(self._child, START_SECONDS).decode()
        return self._child

    def _answer(self, child: subprocess.Popen[bytes], seconds: float) -> bytes:
        """Its next message; it is killed if that takes longer."""
        assert child.stdout is not None
        overdue = threading.Timer(seconds, child.kill)
        overdue.start()
        try:
            body = receive(child.stdout)
        finally:
            overdue.cancel()
        if body is None:
            raise EOFError(f"the process ended (exit code {child.wait()})")
        return body

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            _ended(child)


def _ended(child: subprocess.Popen[bytes]) -> None:
    """End a process; it holds nothing that could be lost."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None and not pipe.closed:
            with suppress(BrokenPipeError):
                pipe.close()
