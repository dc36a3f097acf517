"""What the tools and commands of whoever looks after the memories answer: data, and a short text."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from pygent_memory.status import SpaceStatus, Status
from pygent_memory.transfer.exporting import Exported
from pygent_memory.transfer.found import Imported


class SpaceRow(BaseModel):
    name: str
    memories: int = Field(description="What holds now.")
    replaced: int
    forgotten: int
    conversations: int
    entities: int
    relations: int
    changed_at: str = Field(description="UTC: the last write.")

    @classmethod
    def of(cls, space: SpaceStatus) -> SpaceRow:
        return cls(**{name: getattr(space, name) for name in cls.model_fields})


class SpacesAnswer(BaseModel):
    spaces: list[SpaceRow]

    @classmethod
    def of(cls, spaces: Sequence[SpaceStatus]) -> SpacesAnswer:
        return cls(spaces=[SpaceRow.of(space) for space in spaces])

    def text(self) -> str:
        return (
            "\n".join(map(_space_line, self.spaces)) or "There is no space yet: the first memory makes one."
        )


class StatusAnswer(BaseModel):
    file: str
    bytes: int
    version: int = Field(description="That of the tables.")
    passages: int
    vectors: dict[str, int] = Field(description="By the model that made them.")
    model: str = Field(default="", description="The one in force.")
    pending: int = Field(default=0, description="Passages that have no vector of it.")
    why: str = Field(default="", description="Why only words are compared; empty where meanings are.")
    backups: int
    last_backup: str = Field(default="", description="UTC.")
    spaces: list[SpaceRow]

    @classmethod
    def of(cls, status: Status, model: str = "", why: str = "") -> StatusAnswer:
        """The status, with the model in force, or why there is none."""
        return cls(
            file=str(status.path),
            bytes=status.size,
            version=status.version,
            passages=status.passages,
            vectors=status.vectors,
            model=model,
            pending=status.pending(model) if model else 0,
            why=why,
            backups=len(status.backups),
            last_backup=f"{status.last_backup:%Y-%m-%dT%H:%M:%SZ}" if status.last_backup else "",
            spaces=[SpaceRow.of(space) for space in status.spaces],
        )

    def text(self) -> str:
        made = ", ".join(f"{count} by {model}" for model, count in self.vectors.items()) or "none"
        now = f"{self.pending} are still to be computed by {self.model}" if self.model else ""
        saved = f"the last of {self.backups} made at {self.last_backup}" if self.backups else "none"
        lines = [
            f"{self.file}: {_size(self.bytes)}, tables of version {self.version}",
            f"passages: {self.passages}; vectors: {made}",
            now if self.pending else "",
            f"only words are compared: {self.why}" if self.why else "",
            f"backups: {saved}",
            *map(_space_line, self.spaces),
        ]
        return "\n".join(filter(None, lines))


class ExportAnswer(BaseModel):
    space: str
    path: str
    format: str
    memories: int = Field(description="Markdown leaves out the forgotten ones.")
    bytes: int

    @classmethod
    def of(cls, space: str, exported: Exported) -> ExportAnswer:
        return cls(
            space=space,
            path=str(exported.path),
            format=exported.format,
            memories=exported.memories,
            bytes=exported.size,
        )

    def text(self) -> str:
        return (
            f'{self.memories} memories of space "{self.space}" are in {self.path} '
            f"({self.format}, {_size(self.bytes)})."
        )


class DamagedPart(BaseModel):
    place: str
    why: str


class ImportAnswer(BaseModel):
    space: str
    format: str
    dry_run: bool
    added: int
    duplicates: int = Field(description="Known already; nothing about them was changed.")
    kept_out: int = Field(description="Forgotten, replaced or ended here since; not brought back.")
    entities: int
    relations: int
    problems: int = Field(description="Parts that could not be taken over.")
    damaged: list[DamagedPart] = Field(default=[], description="The first 20 of them.")
    aside: str = Field(default="", description="The file they were copied to, word for word.")
    left_out: dict[str, int] = Field(default={}, description="Fields that have no place here, and how often.")

    @classmethod
    def of(cls, space: str, imported: Imported) -> ImportAnswer:
        return cls(
            space=space,
            format=imported.format,
            dry_run=imported.dry_run,
            added=imported.outcomes["added"],
            duplicates=imported.outcomes["duplicate"],
            kept_out=imported.outcomes["kept out"],
            entities=imported.entities,
            relations=imported.relations,
            problems=imported.problems,
            damaged=[DamagedPart(place=part.place, why=part.why) for part in imported.damaged],
            aside=str(imported.aside or ""),
            left_out=dict(imported.left_out),
        )

    def text(self) -> str:
        would = "Would import" if self.dry_run else "Imported"
        further = [
            f"{self.duplicates} known already" if self.duplicates else "",
            f"{self.kept_out} not brought back (forgotten, replaced or ended since)" if self.kept_out else "",
            f"{self.entities} entities" if self.entities else "",
            f"{self.relations} relations" if self.relations else "",
        ]
        counts = "; ".join([f"{self.added} memories", *filter(None, further)])
        lines = [f'{would} into space "{self.space}" ({self.format}): {counts}.']
        if self.left_out:
            lines.append("Left out: " + ", ".join(f"{name} ({n})" for name, n in self.left_out.items()) + ".")
        if self.problems:
            kept = f"; they are in {self.aside}" if self.aside else ""
            lines.append(f"Damaged: {self.problems}{kept}.")
            lines += [f"  {part.place}: {part.why}" for part in self.damaged]
        return "\n".join(lines)


def _space_line(space: SpaceRow) -> str:
    counts = {
        "replaced": space.replaced,
        "forgotten": space.forgotten,
        "conversations": space.conversations,
        "entities": space.entities,
        "relations": space.relations,
    }
    more = "".join(f", {count} {what}" for what, count in counts.items() if count)
    return f'space "{space.name}": {space.memories} memories{more}; last write {space.changed_at or "never"}'


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count:,} bytes"
