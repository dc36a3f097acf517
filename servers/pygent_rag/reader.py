"""Has files read by a process of their own, so that none can crash, hang or bloat the server.

PDFs, packed Office files and grammars are parsed by native code, and a few kilobytes of them can ask for
gigabytes or hours; of large files, so can any parser. The one rule: small plain files, which our own code
reads in a moment, are read here; starting a process costs more than they do.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pygent_rag import reading
from pygent_rag.parsers import PARSERS
from pygent_rag.reading import Reading
from pygent_shared.errors import FileRefused

SMALL = 256_000
"""Bytes up to which a plain file is read in this process."""

PLAIN = frozenset(
    f"pygent_rag.parsers.{module}:parse"
    for module in ("markdown", "text", "rst", "html", "csv", "json", "notebook", "python")
)
"""The parsers that are our own, and take time and memory in proportion to the file."""

POLL_SECONDS = 0.05
ENDING_SECONDS = 2.0

Poll = Callable[[], None]
"""Called now and then while a file is read; ends that by raising."""


class Reader:
    """Reads one file at a time, for any number of threads.

    Args:
        seconds: how long one file may take.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._turn = threading.Lock()
        self._process: _Process | None = None

    def read(self, path: Path, data: bytes, poll: Poll) -> Reading:
        """What is kept of a file.

        Raises:
            FileRefused: it cannot be read, or not within the limits.
        """
        if len(data) <= SMALL and PARSERS.get(path.suffix.lower()) in PLAIN:
            return reading.read(path, data)
        while not self._turn.acquire(timeout=POLL_SECONDS):
            poll()
        try:
            return self._ask(path, data, poll)
        finally:
            self._turn.release()

    def rest(self) -> None:
        """End the process, unless it is at work; the next file starts another."""
        if self._turn.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._turn.release()

    def _ask(self, path: Path, data: bytes, poll: Poll) -> Reading:
        lasts = False
        try:
            process = self._process = self._process or _Process()
            header, body = process.ask([str(path), self._seconds], data, self._seconds, poll)
            lasts = not header.pop("last", False)
        except OSError as error:  # among them TimeoutError
            raise self._refusal(path, error) from error
        finally:
            if not lasts:
                self._end()  # it is gone, at work on what nobody waits for, or short of memory
        if "refused" in header:
            why, cure = header["refused"]
            raise FileRefused(path, why, cure)
        return reading.from_wire(header, body)

    def _refusal(self, path: Path, error: OSError) -> FileRefused:
        """Why there was no answer."""
        code = self._process.end() if self._process else None
        if isinstance(error, TimeoutError) or code == -getattr(signal, "SIGXCPU", 0):
            cure = "Split it, or allow more: export PYGENT_READ_TIMEOUT=SECONDS"
            return FileRefused(path, f"takes longer than {self._seconds:g} s to be read", cure)
        if code is None:
            cure = "Close other programs, and ingest again."
            return FileRefused(path, f"could not be given a process to read it ({error})", cure)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        why = f"made its parser crash, or need more than {reading.MEMORY // 1_000_000} MB of memory ({how})"
        return FileRefused(path, why, "Save it anew, split it, or convert it to text.")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            process.end()


_Answers = queue.SimpleQueue[tuple[Any, bytes] | None]


class _Process:
    """One that reads files (`pygent_rag.reading`)."""

    def __init__(self) -> None:
        # It is given nothing to know but where our code is: no token, no key.
        environ = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}
        environ |= {
            name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ
        }
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pygent_rag.reading"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
        )
        self._at_work = False

    def ask(self, header: Any, data: bytes, seconds: float, poll: Poll) -> tuple[dict[str, Any], bytes]:
        """Its answer.

        Raises:
            TimeoutError: there was none in time.
            ConnectionError: it has gone.
        """
        answers: _Answers = queue.SimpleQueue()
        threading.Thread(target=self._exchange, args=(header, data, answers), daemon=True).start()
        deadline = time.monotonic() + seconds
        self._at_work = True
        while time.monotonic() < deadline:
            try:
                answer = answers.get(timeout=POLL_SECONDS)
            except queue.Empty:
                poll()
                continue
            self._at_work = False
            if answer is None:
                raise ConnectionResetError("it has gone")
            return answer
        raise TimeoutError

    def end(self) -> int:
        """End it; its exit code, negative for a signal."""
        if self._at_work:
            self._child.kill()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(OSError):
            self._child.stdin.close()
        try:
            self._child.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
        code = self._child.wait()
        self._child.stdout.close()
        return code

    def _exchange(self, header: Any, data: bytes, answers: _Answers) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        answer = None
        with suppress(OSError, ValueError):  # ValueError: it was ended meanwhile, and its pipes with it
            reading.send(self._child.stdin, header, data)
            answer = reading.receive(self._child.stdout)
        answers.put(answer)
