"""Importing a file: which format it is in, and what of it is new.

Written in batches, each one short transaction; a second run of an import that was cut off does the rest.
Damaged parts are set aside in a file beside, word for word, and all others imported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import apsw

from pygent_memory.memories import Memories
from pygent_memory.memory import Draft, utc
from pygent_memory.transfer import basic_memory, mem0, own, reference
from pygent_memory.transfer.aside import Aside
from pygent_memory.transfer.found import (
    Damaged,
    Entity,
    Format,
    Found,
    Imported,
    LeftOut,
    Relation,
    Watch,
)
from pygent_memory.transfer.placing import Here, Placing
from pygent_memory.writing import Writer
from pygent_shared.errors import FileRefused, InvalidArgument, UnknownName

BATCH = 200
ACTOR = "import"
_HEAD = 4096

FORMATS = {format.name: format for format in (reference.FORMAT, mem0.FORMAT, basic_memory.FORMAT)}
"""The formats of others, by name."""

OWN = "pygent"

_T = TypeVar("_T")


def format_of(path: Path, wanted: str = "") -> str:
    """The name of the format a file or folder is in.

    Raises:
        FileRefused: it cannot be read, or is in none that we know.
        UnknownName: there is no format called `wanted`.
    """
    if wanted and wanted not in (OWN, *FORMATS):
        raise UnknownName("format", wanted, (OWN, *FORMATS))
    try:
        head = "" if path.is_dir() else _head(path)
    except OSError as error:
        raise _refusal(path, error) from error
    if wanted:
        return wanted
    if own.fits(path, head):
        return OWN
    for name, format in FORMATS.items():
        if format.fits(path, head):
            return name
    titles = ", ".join(f"{name} ({format.title})" for name, format in FORMATS.items())
    why = "is in no format that is known"
    raise FileRefused(path, why, f"Name the one it is in: {OWN} (our own JSON lines), {titles}.")


def import_file(
    memories: Memories,
    space: str,
    path: Path,
    format: str = "",
    *,
    dry_run: bool = False,
    watch: Watch = lambda done, total: None,
    now: datetime | None = None,
) -> Imported:
    """Take over what is new in a file or folder; in a dry run, only tell.

    Args:
        format: its name; "" looks at the file.
        watch: called after each batch.

    Raises:
        FileRefused: it cannot be read.
        UnknownName: there is no such format.
        DatabaseUnusable: the database cannot be written. What was imported so far stays.
    """
    name = format_of(path, format)
    run = _Run(memories, space, path, Imported(format=name, dry_run=dry_run), utc(now or datetime.now(UTC)))
    try:
        if name == OWN:
            run.own(watch)
        else:
            run.foreign(FORMATS[name], watch)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        run.aside.close()
    if not dry_run:
        memories.notify()
    run.report.aside = run.aside.path
    return run.report


class _Run:
    """One import under way."""

    def __init__(self, memories: Memories, space: str, path: Path, report: Imported, now: str) -> None:
        self._memories = memories
        self._space = space
        self._path = path
        self._now = now
        self._here = Here()
        self.report = report
        self.aside = Aside(path, memories.database.path.parent, dry_run=report.dry_run)

    def foreign(self, format: Format, watch: Watch) -> None:
        found = list(format.read(self._path))
        done = 0
        for batch in _batches(found):
            with self._placing() as placing:
                for item in batch:
                    self._attempt("", "", partial(self._place, placing, item))
            done += len(batch)
            watch(done, len(found))

    def own(self, watch: Watch) -> None:
        """The file is read twice: for the rows, then for what ties them to others further down."""
        total = 2 * self._path.stat().st_size
        done = 0
        for batch in _batches(_lines(self._path)):
            with self._placing() as placing:
                for number, line in batch:
                    self._attempt(
                        f"line {number}",
                        line,
                        partial(self._put_back, placing, line),
                    )
                    done += len(line.encode(errors="surrogateescape"))
            watch(done, total)
        if self.report.dry_run:
            return
        tied = (
            item for item in _lines(self._path) if '"derived_from":[' in item[1] or '"replaced_by"' in item[1]
        )
        for batch in _batches(tied):
            with self._placing() as placing:
                for number, line in batch:
                    self._tie(placing, number, line)
        watch(total, total)

    def _place(self, placing: Placing, item: Found) -> None:
        match item:
            case Draft():
                text, _ = self._memories.mask.masked(item.text)
                self.report.outcomes[placing.told(replace(item, text=text))] += 1
            case Entity():
                self.report.entities += placing.entity(item)
            case Relation():
                self.report.relations += placing.relation(item)
            case LeftOut():
                self.report.left_out[item.field] += 1
            case Damaged():
                self._damaged(item)

    def _put_back(self, placing: Placing, line: str) -> None:
        match row := _row(line):
            case {"row": "memory"}:
                self.report.outcomes[placing.memory(self._masked(row))] += 1
            case {"row": "entity"}:
                self.report.entities += placing.other("entity", row)
            case {"row": "relation"}:
                self.report.relations += placing.other("relation", row)
            case {"row": "conversation" | "event" as table}:
                placing.other(table, row)
            case {"format": own.FORMAT, "version": version}:
                if version != own.HEADER["version"]:
                    cure = "Upgrade: pip install -U pygent-factory"
                    raise FileRefused(self._path, f"was written by a newer version ({version})", cure)
            case _:
                raise InvalidArgument("row", "is of no kind that is known", "Set it right or leave it out.")

    def _masked(self, row: dict[str, Any]) -> dict[str, Any]:
        """A memory's row without what is not to be kept, neither in its text nor in what it was before."""
        clean = row | {"text": self._clean(row.get("text", ""))}
        if isinstance(events := row.get("events"), list):
            clean["events"] = [self._masked_event(event) for event in events]
        if clean != row:
            clean.pop("fingerprint", None)
        return clean

    def _masked_event(self, event: Any) -> Any:
        try:
            before = json.loads(event["before"])
        except (KeyError, TypeError, ValueError):
            return event
        clean = self._clean(before)
        return event if clean == before else event | {"before": json.dumps(clean, ensure_ascii=False)}

    def _clean(self, value: Any) -> Any:
        """A JSON value, the texts in it masked."""
        match value:
            case str():
                return self._memories.mask.masked(value)[0]
            case list():
                return [self._clean(item) for item in value]
            case dict():
                return {name: self._clean(item) for name, item in value.items()}
            case _:
                return value

    def _tie(self, placing: Placing, number: int, line: str) -> None:
        try:
            row = _row(line)
        except InvalidArgument:
            return  # it was set aside before
        if row.get("row") == "memory" and (wrong := placing.links(row)):
            self._damaged(Damaged(place=f"line {number}", why=wrong, text=line))

    def _attempt(self, place: str, text: str, work: Callable[[], None]) -> None:
        """Do something, or find that its source is damaged."""
        try:
            work()
        except InvalidArgument as error:
            self._damaged(Damaged(place=place, why=str(error), text=text))
        except (apsw.ConstraintError, apsw.MismatchError, OverflowError) as error:
            self._damaged(Damaged(place=place, why=f"It holds a value that cannot be: {error}", text=text))

    def _damaged(self, damaged: Damaged) -> None:
        self.report.problem(damaged)
        self.aside.add(damaged.text)

    @contextmanager
    def _placing(self) -> Iterator[Placing]:
        database, dry = self._memories.database, self.report.dry_run
        with database.snapshot() if dry else database.write() as connection:
            writer = Writer(connection, self._space, self._now, ACTOR)
            yield Placing(connection, writer, self._space, self._now, self._here, dry_run=dry)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1; bytes that are no UTF-8 as half characters."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    every = iter(items)
    while batch := list(islice(every, BATCH)):
        yield batch


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidArgument("line", f"is no JSON ({error})", "Mend it, and import it again.") from error
    if not isinstance(row, dict):
        raise InvalidArgument("line", "is no JSON object", "Mend it, and import it again.")
    return row


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD).decode("utf-8-sig", errors="replace")


def _refusal(path: Path, error: OSError) -> FileRefused:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return FileRefused(path, "does not exist", "Check the spelling; a full path is best.")
        case PermissionError():
            return FileRefused(
                path, "may not be read by the user this runs as", f'Allow it: chmod u+rX "{path}"'
            )
        case _:
            return FileRefused(path, f"cannot be read ({error.strerror or error})", "Check the disk or link.")
