"""`pygent ask`: a folder of documents, a question, the answer with its citations."""

from __future__ import annotations

import hashlib
import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.parser import add_json, add_settings, seconds
from pygent_registry.cli.terminal import Progress, counted, note, print_json
from pygent_shared.errors import FileRefused, InvalidArgument, PeerError

if TYPE_CHECKING:
    from pygent_registry.link import Link
    from pygent_registry.registry import Registry

EXAMPLE = 'pygent ask ~/notes "why did the gauge jump in March"'
SERVER = "rag"

# How long one call waits for vectors, so that the progress bar moves.
ROUND_SECONDS = 2.0

Data = dict[str, Any]


class ToolFailed(PeerError):
    """A tool of the suite's own server answered with an error; its text is a sentence with a cure."""


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="A folder of documents, or one document.")
    parser.add_argument("question", metavar="QUESTION", help="In plain words, quoted.")
    parser.add_argument(
        "--wait",
        metavar="S",
        type=seconds,
        default=120.0,
        help="Seconds to wait for vectors of new documents; 0 compares what there is. [120]",
    )
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    folder = Path(chosen.folder).expanduser().absolute()
    if not folder.exists():
        raise FileRefused(folder, "does not exist", "Name a folder, or a document.")
    if not chosen.question.strip():
        raise InvalidArgument("QUESTION", "is empty", f"Such as: {EXAMPLE}")
    from pygent_registry.cli import session
    from pygent_registry.config import parse

    async def work(registry: Registry) -> Data:
        link = await registry.link(SERVER, modern=True)
        return await _answered(link, folder, chosen.question, chosen.wait)

    config = parse({"mcpServers": {SERVER: {"server": SERVER}}})
    found = session.run(work, config, session.quiet_settings(chosen))
    for line in _about(found["ingest"]):
        note(line)
    if chosen.json:
        print_json(found)
    else:
        print("\n".join(_lines(found["answer"], str(folder))))
    return 0 if found["answer"]["quotes"] else 1


def collection_of(folder: Path) -> str:
    """The collection a folder's documents go into: its name, made readable, and a hash of its whole path."""
    slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:40] or "documents"
    return f"{slug}-{hashlib.sha256(str(folder).encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


async def _answered(link: Link, folder: Path, question: str, wait: float) -> Data:
    """Read in what changed, then ask."""
    collection = collection_of(folder)
    with Progress("Reading") as progress:
        ingested = await _call(link, "ingest", {"path": str(folder), "collection": collection}, progress)
    asked = {"question": question, "collection": collection}
    with Progress("Comparing meanings") as progress:
        answer = await _waited(link, asked, wait, progress)
    return {"collection": collection, "ingest": ingested, "answer": answer}


async def _waited(link: Link, asked: Data, wait: float, progress: Progress) -> Data:
    """The answer, once all vectors are there or no more will come, after `wait` seconds at most.

    A call that returns before its own `wait_s` is over has nothing left to wait for.
    """
    total, deadline = 0, time.monotonic() + wait
    while True:
        share = max(0.0, min(ROUND_SECONDS, deadline - time.monotonic()))
        begun = time.monotonic()
        answer = await _call(link, "ask", {**asked, "wait_s": share})
        if share < ROUND_SECONDS or time.monotonic() - begun < share:
            return answer
        pending = answer.get("pending")
        total = max(total, pending or 0)
        await progress.report(total - (pending or 0), total or None, answer.get("why", ""))


async def _call(link: Link, tool: str, given: Data, progress: Progress | None = None) -> Data:
    """A tool's structured result.

    Raises:
        ToolFailed: it answered with an error.
    """
    report = progress.report if progress else None
    result = await link.request(
        "tools/call", {"name": tool, "arguments": given}, progress=report, capabilities={}
    )
    if result.get("isError"):
        raise ToolFailed("\n".join(item.get("text", "") for item in result.get("content", [])))
    data: Data = result["structuredContent"]
    return data


def _about(ingested: Data) -> Iterator[str]:
    """What became of the files, for stderr."""
    for file in ingested["files"]:
        if file["outcome"] == "refused":
            yield f"Refused: {file['why']}"
    counts = [f"{ingested[what]} {what}" for what in ("added", "updated", "removed") if ingested[what]]
    unchanged = f"{counted(ingested['unchanged'], 'document')} unchanged"
    yield f"Read in: {', '.join(counts) or 'nothing new'}; {unchanged}."


def _lines(answer: Data, folder: str) -> Iterator[str]:
    """The answer for a person."""
    place = _shortener(Path.cwd())
    if answer["quotes"]:
        numbers: dict[str, int] = {}
        for quote in answer["quotes"]:
            number = numbers.setdefault(quote["citation"], len(numbers) + 1)
            yield f"{' '.join(quote['text'].split())} [{number}]"
        yield ""
        yield from (f"[{number}] {place(citation)}" for citation, number in numbers.items())
    else:
        yield f'Nothing in "{folder}" answers that.'
        yield from (f"Nearest: {place(passage['citation'])}" for passage in answer["passages"][:3])
    yield ""
    yield f"Retrieval: {_retrieval(answer)}."
    if answer["quotes"]:
        yield "Extractive: these are the documents' own sentences, as no language model is configured."


def _retrieval(answer: Mapping[str, Any]) -> str:
    how = {"hybrid": "hybrid (meanings and words)", "lexical": "lexical (words only)"}[answer["retrieval"]]
    return f"{how}; {answer['why']}" if answer.get("why") else how


def _shortener(here: Path) -> Callable[[str], str]:
    """Citations below the current folder are shown from there."""
    return lambda citation: citation.removeprefix(f"{here}/")
