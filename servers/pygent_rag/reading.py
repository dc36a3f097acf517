"""What is kept of a file, made from its bytes: parsed and cut. Also a process that does only this.

`python -m pygent_rag.reading` reads files that a `pygent_rag.reader.Reader` sends it, within limits of memory
and time: what a damaged or hostile file does to its parser happens there. The one rule: whatever a parser
raises costs that file.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pygent_rag.chunking import Chunk, chunk
from pygent_rag.document import Unit
from pygent_rag.parsers import parse
from pygent_shared.errors import FileRefused

MEMORY = 1_000_000_000
"""Bytes of address space that the process may take."""

LARGE = 1_000_000
"""Bytes of a file after which memory is tidied up."""

_SIZES = struct.Struct(">QQ")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A file's text, cut into chunks; the other attributes are as in `Document`."""

    text: str
    chunks: Sequence[Chunk]
    unit: Unit = "line"
    verbatim: bool = False
    title: str = ""
    decoded: str = ""
    note: str = ""


def read(path: Path, data: bytes) -> Reading:
    """What is kept of a file.

    Raises:
        FileRefused: it cannot be read.
    """
    try:
        document = parse(path, data)
        return Reading(
            text=document.text,
            chunks=chunk(document),
            unit=document.unit,
            verbatim=document.verbatim,
            title=document.title,
            decoded=document.decoded,
            note=document.note,
        )
    except FileRefused:
        raise
    except MemoryError as error:
        raise too_hungry(path) from error
    except Exception as error:  # whatever libraries of other people raise
        logger.warning("The parser of %s failed", path, exc_info=True)
        raise FileRefused(
            path, f"made its parser fail ({type(error).__name__}: {error})"[:300], "Save it anew."
        ) from error


def too_hungry(path: Path) -> FileRefused:
    why = f"needs more than {MEMORY // 1_000_000} MB of memory to be read"
    return FileRefused(path, why, "Split it, or convert it to text.")


def send(stream: IO[bytes], header: Any, body: bytes) -> None:
    """One message: a JSON value and some bytes."""
    packed = json.dumps(header).encode()
    stream.write(_SIZES.pack(len(packed), len(body)) + packed)
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Any, bytes] | None:
    """The other end's message; None when it has gone."""
    sizes = stream.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        return None
    header, body = _SIZES.unpack(sizes)
    packed, data = stream.read(header), stream.read(body)
    return (json.loads(packed), data) if len(packed) + len(data) == header + body else None


def to_wire(reading: Reading) -> tuple[dict[str, Any], bytes]:
    headings: dict[tuple[str, ...], int] = {}
    chunks = [
        [
            *(found.start, found.end, found.first, found.last),
            headings.setdefault(found.heading, len(headings)),
            *(found.part, found.source),
        ]
        for found in reading.chunks
    ]
    header = {
        "chunks": chunks,
        "headings": list(headings),
        "unit": reading.unit,
        "verbatim": reading.verbatim,
        "title": reading.title,
        "decoded": reading.decoded,
        "note": reading.note,
    }
    return header, reading.text.encode()


def from_wire(header: dict[str, Any], body: bytes) -> Reading:
    headings = [tuple(heading) for heading in header.pop("headings")]
    chunks = [
        Chunk(
            start=start,
            end=end,
            first=first,
            last=last,
            heading=headings[heading],
            part=part,
            source=(source[0], source[1]) if source else None,
        )
        for start, end, first, last, heading, part, source in header.pop("chunks")
    ]
    return Reading(text=body.decode(), chunks=chunks, **header)


def main() -> None:
    """Answer each file on stdin with its reading, or why there is none, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; our parent tells us by stdin
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not pass for an answer
    _limit_memory()
    gc.disable()  # a document is much, and in no circles: looking for some would take half the time
    while (asked := receive(sys.stdin.buffer)) is not None:
        (name, seconds), data = asked
        _limit_time(seconds)
        last = False
        try:
            header, body = to_wire(read(Path(name), data))
        except (FileRefused, MemoryError) as error:
            refusal = error if isinstance(error, FileRefused) else too_hungry(Path(name))
            last = isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError)
            header, body = {"refused": [refusal.why, refusal.cure], "last": last}, b""
        send(answers, header, body)
        large = len(data) > LARGE
        del data, asked, header, body
        if large:
            gc.collect()
        if last:
            return  # what memory is left may not do for the next


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """Be ended by the system after so much more work, even if nobody is left to end us."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, hard))


if __name__ == "__main__":
    main()
