"""What the tools that change and forget answer: what became of which memory, and how to take it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from pygent_memory.answers import unknown_line
from pygent_memory.changing import Changed
from pygent_memory.fencing import quoted, shortened
from pygent_memory.forgetting import Forgotten, Shown
from pygent_memory.memory import Kind
from pygent_memory.writing import State

LISTED = 100
"""Ids of one sort that a receipt lists."""


class UpdateAnswer(BaseModel):
    space: str
    id: str = Field(description="The memory that holds now.")
    version: int
    changed: list[str] = Field(description="What was changed, by name; empty: it was so already.")
    undone: bool = Field(default=False, description="Whether a change was taken back.")
    replaced: str = Field(default="", description="The memory whose place it took; it is kept as the past.")
    withdrawn: str = Field(default="", description="By an undo: the memory that it was replaced by.")
    text: str

    @classmethod
    def of(cls, space: str, changed: Changed) -> UpdateAnswer:
        return cls(
            space=space,
            id=changed.memory.id,
            version=changed.memory.version,
            changed=list(changed.fields),
            undone=changed.undone,
            replaced=changed.replaced,
            withdrawn=changed.withdrawn,
            text=changed.memory.text,
        )

    def summary(self) -> str:
        back = f' Take it back: memory_update(id="{self.id}", undo=true).'
        done = f"{self._done()} (version {self.version}).{back if self.changed and not self.undone else ''}"
        return f"{done}\n{quoted(shortened(self.text))}"

    def _done(self) -> str:
        names = ", ".join(self.changed)
        if self.undone and self.changed:
            return f"{self.id} is as it was before: {names}"
        if self.undone:
            return f"{self.id} holds again{f', and {self.withdrawn} is forgotten' if self.withdrawn else ''}"
        if self.replaced:
            return f"{self.id} took the place of {self.replaced}"
        return f"{self.id} has changed: {names}" if self.changed else f"{self.id} is so already"


class Sample(BaseModel):
    id: str
    kind: Kind
    date: str
    text: str


class ForgetAnswer(BaseModel):
    """The receipt. Of each sort at most 100 ids are listed."""

    space: str
    dry_run: bool
    hard: bool = Field(default=False, description="Whether it is for good.")
    count: int = Field(description="How many memories were meant and met.")
    kinds: dict[str, int] = Field(default={}, description="Of a filter: of which kinds they are.")
    first: list[Sample] = Field(default=[], description="Of a filter: the oldest of them.")
    confirm: str = Field(default="", description="Send it with the same filter to forget just these.")
    forgotten: list[str] = Field(default=[], description="Taken out now (or would be, in a dry run).")
    erased: list[str] = Field(default=[], description="Deleted for good now (or would be).")
    restored: list[str] = Field(default=[], description="Brought back now (or would be).")
    along: list[str] = Field(
        default=[], description="Went, or came back, with them: what was made of them, and earlier versions."
    )
    along_count: int = Field(default=0, description="How many those are.")
    bereft: list[str] = Field(
        default=[], description="Made of them and of others, and kept: see whether they still hold."
    )
    displaced: list[str] = Field(
        default=[],
        description="Whose place they had taken: memory_update(id, undo=true) lets one hold again.",
    )
    unchanged: list[str] = Field(default=[], description="Already as asked.")
    replaced: list[str] = Field(
        default=[], description="Not restored: the same was remembered again since, under another id."
    )
    unknown: list[str] = Field(default=[], description="Ids this space does not have.")
    remains: list[str] = Field(default=[], description="What an erasure could not reach.")

    @classmethod
    def of(
        cls,
        space: str,
        ids: Sequence[str],
        done: Forgotten,
        *,
        undo: bool = False,
        hard: bool = False,
        dry_run: bool = False,
        confirm: str = "",
    ) -> ForgetAnswer:
        """The receipt for ids that were asked for, and `confirm` where a filter was."""
        met: dict[State | None, list[str]] = {"live": [], "forgotten": [], "replaced": [], None: []}
        for id in dict.fromkeys(ids):
            met[done.states.get(id)].append(id)
        known = [*met["live"], *met["forgotten"], *met["replaced"]]
        sorts: dict[str, Sequence[str]] = {
            "along": done.along,
            "bereft": done.bereft,
            "displaced": done.displaced,
            "unknown": met[None],
        }
        if undo:
            sorts |= {
                "restored": met["forgotten"],
                "unchanged": met["live"],
                "replaced": met["replaced"],
            }
        elif hard:
            sorts |= {"erased": known}
        else:
            sorts |= {"forgotten": met["live"], "unchanged": met["forgotten"] + met["replaced"]}
        lists: dict[str, Any] = {name: list(some[:LISTED]) for name, some in sorts.items()}
        return cls(
            space=space,
            dry_run=dry_run,
            hard=hard,
            count=len(known),
            along_count=len(done.along),
            remains=list(done.remains),
            confirm=confirm,
            **lists,
        )

    @classmethod
    def shown(cls, space: str, shown: Shown, *, hard: bool) -> ForgetAnswer:
        """What a filter means, before anything is forgotten."""
        return cls(
            space=space,
            dry_run=True,
            hard=hard,
            count=shown.count,
            kinds=dict(shown.kinds),
            first=[
                Sample(id=one.id, kind=one.kind, date=one.date, text=shortened(one.text, 200))
                for one in shown.first
            ],
            confirm=shown.confirm if shown.count else "",
            along_count=shown.along,
        )

    def summary(self) -> str:
        if self.first:
            return self._preview()
        would = "would be " if self.dry_run else ""
        lines = [
            _listed(f"{would}forgotten", self.forgotten, self.count),
            _listed(f"{would}deleted for good", self.erased, self.count),
            _listed(f"{would}restored", self.restored, self.count),
            _listed("with them", self.along, self.along_count),
            _listed("lost a source, so look whether they still hold", self.bereft),
            _listed(
                "had taken the place of what memory_update(id, undo=true) lets hold again", self.displaced
            ),
            _listed("already so", self.unchanged),
            _listed("not restored, because the same was remembered again", self.replaced),
            self._way_back(),
            *self.remains,
            *unknown_line(self.unknown, self.space),
        ]
        return "\n".join(filter(None, lines)) or f'Nothing in space "{self.space}" is meant by that.'

    def _preview(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        along = f", and {self.along_count} that go with them" if self.along_count else ""
        done, act = (
            ("deleted", "delete just these for good") if self.hard else ("forgotten", "forget just these")
        )
        head = f"That means {_counted(self.count)} ({kinds}){along}. Nothing is {done} yet."
        lines = [f"{one.id} · {one.kind} · {one.date}\n{quoted(one.text)}" for one in self.first]
        more = f"… and {self.count - len(self.first)} more." if self.count > len(self.first) else ""
        cure = f'To {act}, send the same again with confirm="{self.confirm}".'
        return "\n".join(filter(None, [head, *lines, more, cure]))

    def _way_back(self) -> str:
        if self.dry_run or not self.forgotten:
            return ""
        which = f'confirm="{self.confirm}"' if self.confirm else "ids"
        return f"Take it back: memory_forget({which}, undo=true)."


def _listed(what: str, ids: Sequence[str], count: int = 0) -> str:
    if not ids:
        return ""
    cut = ", …" if count > LISTED <= len(ids) else ""
    return (
        f"{what[0].upper()}{what[1:]} ({max(count, len(ids)) if cut else len(ids)}): {', '.join(ids)}{cut}."
    )


def _counted(count: int) -> str:
    return "1 memory" if count == 1 else f"{count} memories"
