"""What the tools that change answer: `ingest`, `sync`, `reindex` and `delete`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from pydantic import BaseModel, Field

from pygent_rag.ingest import FileReport, Outcome
from pygent_rag.quoting import counted, some
from pygent_rag.store import Removed

MOST_FILES = 200
"""Files listed in one answer; the counts are of all."""

_ORDER: Sequence[Outcome] = ("refused", "added", "updated", "removed", "unchanged")
"""Of the files in an answer: what wants attention first."""


class FileEntry(BaseModel):
    path: str
    outcome: Outcome
    chunks: int | None = Field(default=None, description="Passages made of it now.")
    why: str | None = Field(default=None, description="Why it was refused, or what to know about it.")
    decoded: str | None = Field(default=None, description="Its encoding, where it was not UTF-8.")

    @classmethod
    def of(cls, report: FileReport) -> FileEntry:
        return cls(
            path=report.path,
            outcome=report.outcome,
            chunks=report.chunks or None,
            why=report.why or None,
            decoded=report.decoded or None,
        )


class IngestAnswer(BaseModel):
    collection: str
    added: int
    updated: int
    unchanged: int
    removed: int = Field(description="Documents taken out because their files are gone.")
    refused: int
    skipped: dict[str, int] = Field(description="Files of types that are not read: suffix -> how many.")
    files: list[FileEntry] = Field(description=f"At most {MOST_FILES}: refused ones first, unchanged last.")
    files_left_out: int = Field(default=0, description="Files not listed; they are in the counts.")
    note: str = Field(default="", description="What searches of them can and cannot do yet.")

    @classmethod
    def of(
        cls, collection: str, reports: Sequence[FileReport], lexical_only: str, engine: str
    ) -> IngestAnswer:
        """The report on an ingestion.

        Args:
            lexical_only: why there will be no vectors; "" where there will be.
            engine: what makes them.
        """
        counts = Counter(report.outcome for report in reports)
        listed = sorted(
            (report for report in reports if report.outcome != "skipped"),
            key=lambda report: _ORDER.index(report.outcome),
        )
        return cls(
            collection=collection,
            added=counts["added"],
            updated=counts["updated"],
            unchanged=counts["unchanged"],
            removed=counts["removed"],
            refused=counts["refused"],
            skipped=_by_suffix(report.path for report in reports if report.outcome == "skipped"),
            files=[FileEntry.of(report) for report in listed[:MOST_FILES]],
            files_left_out=max(0, len(listed) - MOST_FILES),
            note=_vectors_note(lexical_only, engine, changed=bool(counts["added"] or counts["updated"])),
        )

    def text(self) -> str:
        counts = [f"{count} {outcome}" for outcome in _ORDER if (count := getattr(self, outcome))]
        lines = [f'Collection "{self.collection}": {", ".join(counts) or "no files to read"}.']
        lines += some([f"- refused: {file.why}" for file in self.files if file.outcome == "refused"])
        lines += some([_line(file) for file in self.files if file.outcome not in ("refused", "unchanged")])
        if self.skipped:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in self.skipped.items())
            lines.append(f"Passed over, being of types that are not read: {kinds}.")
        return "\n".join(filter(None, [*lines, self.note]))


class ReindexAnswer(BaseModel):
    collection: str
    model: str = Field(description="What made all its vectors now.")
    embedded: int = Field(description="Passages that were embedded; those that had a vector of it were not.")

    def text(self) -> str:
        done = f"{counted(self.embedded, 'passage')} embedded"
        return f'All vectors of collection "{self.collection}" are of {self.model} now ({done}).'


class DeleteAnswer(BaseModel):
    collection: str
    dry_run: bool
    documents: int
    passages: int
    paths: list[str] = Field(description=f"At most {MOST_FILES} of the documents' files.")
    paths_left_out: int = 0

    @classmethod
    def of(cls, collection: str, removed: Removed, *, dry_run: bool) -> DeleteAnswer:
        return cls(
            collection=collection,
            dry_run=dry_run,
            documents=len(removed.paths),
            passages=removed.chunks,
            paths=list(removed.paths[:MOST_FILES]),
            paths_left_out=max(0, len(removed.paths) - MOST_FILES),
        )

    def text(self) -> str:
        done = "Would take out" if self.dry_run else "Took out"
        what = f"{counted(self.documents, 'document')} ({counted(self.passages, 'passage')})"
        lines = [f'{done} {what} of collection "{self.collection}".']
        lines += some([f"- {path}" for path in self.paths])
        return "\n".join(
            [*lines, "The files themselves are not touched; ingest(path=…) reads them in again."]
        )


def _line(file: FileEntry) -> str:
    decoded = f"read as {file.decoded}, since it is not UTF-8" if file.decoded else ""
    facts = "; ".join(filter(None, [decoded, file.why]))
    return f"- {file.outcome}: {file.path}" + (f" ({facts})" if facts else "")


def _by_suffix(paths: Iterable[str]) -> dict[str, int]:
    counts = Counter(PurePath(path).suffix.lower() or "without suffix" for path in paths)
    return dict(counts.most_common())


def _vectors_note(lexical_only: str, engine: str, *, changed: bool) -> str:
    if lexical_only:
        return f"Searches compare words only: {lexical_only}."
    follow = f"Search them now; vectors for their meaning follow in the background, by {engine}."
    return follow if changed else ""
