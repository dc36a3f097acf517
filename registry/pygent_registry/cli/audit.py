"""`pygent audit`: what was called through pygent, and whether the record of it is whole."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from pygent_registry.cli.parser import add_json, add_settings, one_of
from pygent_registry.cli.terminal import counted, fitting, print_json
from pygent_shared.errors import FileRefused, InvalidArgument, did_you_mean

EXAMPLE = "pygent audit show server=github outcome='refused*' --last 50"
WHAT = ("verify", "show", "tail")
FIELDS = ("time", "who", "client", "trace", "server", "method", "name", "arguments", "outcome")
POLL_SECONDS = 0.25


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        type=one_of("part of pygent audit", WHAT),
        metavar="verify|show|tail",
        help="verify the chain of records, show the latest of them, or go on showing them as they come",
    )
    parser.add_argument(
        "where",
        nargs="*",
        metavar="FIELD=PATTERN",
        help=f"Only records in which a field ({', '.join(FIELDS)}) is like this; * stands for any part.",
    )
    parser.add_argument("--last", type=int, default=20, metavar="N", help="How many to show. [20]")
    add_json(parser)
    add_settings(parser)


def run(chosen: Namespace) -> int:
    from pygent_registry.cli.session import quiet_settings
    from pygent_registry.journal import NAME

    path = quiet_settings(chosen).data_dir / NAME
    if chosen.what == "verify":
        return _verify(path, chosen)
    where = _patterns(chosen.where)
    return _show(path, where, chosen) if chosen.what == "show" else _tail(path, where, chosen)


def _verify(path: Path, chosen: Namespace) -> int:
    from pygent_registry.chain import START, Finding, verify

    files = _files(path)
    begins = last = _before(files[0])
    whole, broken = Finding(records=0, last=last), ""
    for file in files:
        found = verify(_lines(file), last)
        last = found.last
        whole = Finding(records=whole.records + found.records, last=last, torn=whole.torn + found.torn)
        if found.broken:
            broken = f"{file.name}, {found.broken}"
            break
    if chosen.json:
        names = [file.name for file in files]
        facts = {"whole": not broken, "broken": broken, "records": whole.records, "torn": whole.torn}
        print_json({"path": str(path), "files": names, "begins": begins, **facts, "last": last})
    elif broken:
        print(f'The chain in "{path.parent}" is broken at {broken}. Before it: {_records(whole.records)}.')
    else:
        torn = f" A crash left {counted(whole.torn, 'unfinished line')}." if whole.torn else ""
        more = f" in {len(files)} files" if len(files) > 1 else ""
        print(f"{_records(whole.records)}{more}, and the chain is whole.{torn}")
        if begins != START:
            print(f"It begins after {begins}: files before {files[0].name} are not here.")
        print(f"The last hash is {last}: keep it elsewhere, and a later cut shows.")
    return 1 if broken else 0


def _records(number: int) -> str:
    return counted(number, "record")


def _before(first: Path) -> str:
    """The hash that the first file goes on from: none, unless files before it were taken away."""
    from pygent_registry.chain import START, parsed
    from pygent_registry.journal import number_of

    if number_of(first) == 1:
        return START
    records = (parsed(line) for line in _lines(first))
    found = next((record for record in records if record), {})
    return str(found.get("prev", START)) if number_of(first) else START


def _show(path: Path, where: Mapping[str, str], chosen: Namespace) -> int:
    latest = deque(_found(_files(path), where), maxlen=max(chosen.last, 0))
    if chosen.json:
        print_json(list(latest))
        return 0
    for record in latest:
        print(fitting(_shown(record)))
    return 0


def _tail(path: Path, where: Mapping[str, str], chosen: Namespace) -> int:
    """The latest, and then each as it comes, until Ctrl-C."""
    import json

    def show(records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            print(json.dumps(record) if chosen.json else fitting(_shown(record)), flush=True)

    *before, last = _files(path)
    with last.open("rb") as file:
        *lines, rest = file.read().split(b"\n")
        there = chain.from_iterable((_found(before, where), _matching(map(_text, lines), where)))
        show(deque(there, maxlen=max(chosen.last, 0)))
        for line in _growing(path, file, rest):
            show(_matching([line], where))
    return 0


def _growing(path: Path, file: BinaryIO, rest: bytes) -> Iterator[str]:
    """The lines that are added from now on, to the last file, which was read to its end but for the `rest` of
    an unfinished line, and to those that come after it.
    """
    while True:
        # Looked for before reading: once there is a next file, nothing is added to this one.
        following = _after(path, file)
        added = file.read()
        *lines, rest = (rest + added).split(b"\n")
        yield from map(_text, lines)
        if following is not None and not added:
            file.close()
            file, rest = following.open("rb"), b""
        elif not added:
            time.sleep(POLL_SECONDS)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _after(path: Path, file: BinaryIO) -> Path | None:
    """The file that comes after this one; the latest where this one was deleted."""
    files = _files(path, missing=True)
    same = [os.path.samestat(os.stat(other), os.fstat(file.fileno())) for other in files]
    if True not in same:
        return files[-1] if files else None
    return next(iter(files[same.index(True) + 1 :]), None)


def _shown(record: Mapping[str, Any]) -> str:
    """One record for a person."""
    known = {key: record.get(key, "?") for key in ("time", "who", "client", "name", "outcome", "bytes", "ms")}
    return "{time}  {who}  {name}  {outcome}  {bytes} bytes  {ms} ms  {client}".format(**known).rstrip()


def _patterns(words: Iterable[str]) -> dict[str, str]:
    """
    Raises:
        InvalidArgument: a word is no FIELD=PATTERN, or names no field.
    """
    found = {}
    for word in words:
        field, equals, pattern = word.partition("=")
        if not equals or field not in FIELDS:
            why = did_you_mean(field, FIELDS).strip() if equals else "is no FIELD=PATTERN"
            raise InvalidArgument(
                word, why.rstrip("?.") + ("?" if why.endswith("?") else ""), f"See: {EXAMPLE}"
            )
        found[field] = pattern
    return found


def _found(files: Iterable[Path], where: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    return (record for file in files for record in _matching(_lines(file), where))


def _matching(lines: Iterable[str], where: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    from pygent_registry.chain import parsed

    for line in lines:
        record = parsed(line)
        if record and all(fnmatchcase(str(record.get(field, "")), like) for field, like in where.items()):
            yield record


def _files(path: Path, *, missing: bool = False) -> list[Path]:
    """Every file of the record, the oldest first.

    Raises:
        FileRefused: there is none, and none may be `missing`.
    """
    from pygent_registry.journal import put_aside

    found = [*put_aside(path), *([path] if path.exists() else [])]
    if not found and not missing:
        cure = "Call something first, or name the right folder: --data-dir DIR"
        raise FileRefused(path, "does not exist: nothing was recorded yet", cure)
    return found


def _lines(path: Path) -> Iterator[str]:
    """
    Raises:
        FileRefused: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise FileRefused(path, f"cannot be read: {error.strerror}", "Ask its owner.") from error
