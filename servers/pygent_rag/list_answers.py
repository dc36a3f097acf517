"""What the tools that list answer: `list_collections` and `list_documents`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from pygent_rag.quoting import UNTRUSTED, counted, quoted
from pygent_rag.store import CollectionRow, DocumentRow
from pygent_rag.uris import document_uri


class CollectionEntry(BaseModel):
    name: str
    documents: int
    passages: int
    pending: int | None = Field(default=None, description="Passages that have no vector yet, where known.")
    sources: list[str] = Field(description="What sync reads anew: files, folders, patterns, pages.")
    watched: bool = Field(default=False, description="Whether changes of its files are followed at once.")
    model: str = Field(default="", description="What made its vectors; empty while it has none.")
    reindex: bool = Field(
        default=False, description="Whether that is not the model in force, so that reindex is wanted."
    )


class CollectionsAnswer(BaseModel):
    collections: list[CollectionEntry]

    def text(self) -> str:
        if not self.collections:
            return "There are no collections yet. Make one: ingest(path=…, collection=…)."
        return "\n".join(
            f'"{entry.name}": {counted(entry.documents, "document")}, {counted(entry.passages, "passage")}'
            + (f", {entry.pending} of them without a vector yet" if entry.pending else "")
            + (", changes are followed" if entry.watched else "")
            + (f", with vectors of {entry.model}, not in force: reindex" if entry.reindex else "")
            for entry in self.collections
        )


class DocumentEntry(BaseModel):
    path: str
    title: str
    passages: int
    size: int = Field(description="Of its file, in bytes.")
    ingested: str = Field(description="UTC, ISO 8601.")
    resource: str = Field(description="Reads its stored text.")


class DocumentsAnswer(BaseModel):
    collection: str
    total: int
    offset: int
    documents: list[DocumentEntry] = Field(description="By path.")

    @classmethod
    def of(cls, collection: CollectionRow, offset: int, rows: Sequence[DocumentRow]) -> DocumentsAnswer:
        return cls(
            collection=collection.name,
            total=collection.documents,
            offset=offset,
            documents=[
                DocumentEntry(
                    path=row.path,
                    title=row.title,
                    passages=row.chunks,
                    size=row.size,
                    ingested=row.ingested,
                    resource=document_uri(collection.name, row.path),
                )
                for row in rows
            ],
        )

    def text(self) -> str:
        total = counted(self.total, "document")
        lines = [f'Collection "{self.collection}" holds {total}. {UNTRUSTED}']
        lines += [
            f"{row.path} ({counted(row.passages, 'passage')})\n{quoted(row.title)}" for row in self.documents
        ]
        if (following := self.offset + len(self.documents)) < self.total:
            lines.append(f"{self.total - following} more: list_documents(…, offset={following}).")
        return "\n".join(lines)
