"""Random lives of memories beside a plain model of them: what holds, what held then, what undo restores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygent_memory.changing import Changing, change
from pygent_memory.filters import Filter, filtered
from pygent_memory.forgetting import Forgetting
from pygent_memory.memories import Memories
from pygent_memory.memory import draft, utc
from pygent_memory.schema import MIGRATIONS
from pygent_memory.sweeping import UNDO_DAYS
from pygent_shared.database import Database
from pygent_shared.embeddings.background import BackgroundEmbedder
from pygent_shared.errors import InvalidArgument
from pygent_shared.settings import Settings

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
SPACES = ("a", "b")


def day(number: float) -> str:
    return utc(BEGIN + timedelta(days=number))


@dataclass
class Told:
    """A memory as the model has it. `ends` lists what was known, from when on, of when it ends."""

    space: str
    text: str
    recorded: float
    tags: tuple[str, ...] = ()
    importance: float = 0.5
    pinned: bool = False
    ends: list[tuple[float, float | None]] = field(default_factory=list)
    expires: float | None = None
    replaced: float | None = None
    by: str = ""
    rewritten: bool = False
    forgotten: float | None = None
    before: list[dict[str, Any]] = field(default_factory=list)

    @property
    def end(self) -> float | None:
        return self.ends[-1][1]

    def end_known(self, at: float) -> float | None:
        return [end for since, end in self.ends if since <= at][-1]

    def held(self, at: float, now: float) -> bool:
        if self.forgotten is not None or self.recorded > at:
            return False
        if self.replaced is not None and self.replaced <= at:
            return False
        if self.expires is not None and self.expires <= now:
            return False
        end = self.end_known(at)
        return end is None or end > at


class Model:
    """What the memories should be. A method returns False where the real ones must refuse."""

    def __init__(self) -> None:
        self.told: dict[str, Told] = {}
        self.now = 0.0

    def sweep(self) -> None:
        for one in self.told.values():
            if one.forgotten is None and one.expires is not None and one.expires <= self.now:
                one.forgotten = self.now
        over = [
            id
            for id, one in self.told.items()
            if one.forgotten is not None
            and one.expires is not None
            and one.expires <= one.forgotten <= self.now - UNDO_DAYS
        ]
        for id in over:
            self.erase(id, living=False)

    def erase(self, id: str, *, living: bool = True) -> None:
        if self.told.pop(id, None) is None:
            return
        for older, one in list(self.told.items()):
            if one.by == id:
                one.by = ""
                if living or one.forgotten is not None:
                    self.erase(older, living=living)

    def same(self, space: str, text: str, end: float | None) -> str:
        """The memory that says just this."""
        for id, one in self.told.items():
            alive = one.forgotten is None and one.replaced is None
            if alive and (one.space, one.text, one.end) == (space, text, end):
                return id
        return ""

    def add(
        self, id: str, space: str, text: str, tags: tuple[str, ...], end: float | None, expires: float | None
    ) -> None:
        if not (known := self.same(space, text, end)):
            self.told[id] = Told(space, text, self.now, tags, ends=[(-1.0, end)], expires=expires)
            return
        assert known == id
        one = self.told[id]
        one.importance = max(one.importance, 0.5)
        one.tags = tuple(dict.fromkeys([*one.tags, *tags]))
        both = one.expires is not None and expires is not None
        one.expires = max(one.expires, expires) if both else None  # type: ignore[type-var]

    def replace(self, old: str, new: str, *, rewritten: bool = False) -> None:
        one = self.told[old]
        if one.forgotten is None and one.replaced is None and old != new:
            one.replaced, one.by, one.rewritten = self.now, new, rewritten

    def present(self, id: str, space: str) -> bool:
        one = self.told.get(id)
        if one is None or one.space != space or one.forgotten is not None:
            return False
        return one.expires is None or one.expires > self.now

    def set(self, id: str, new: dict[str, Any]) -> bool:
        one = self.told[id]
        if "end" in new and self.same(one.space, one.text, new["end"]) not in ("", id):
            return False
        if new.get("expires") is not None and new["expires"] <= self.now:
            return False
        for name, value in new.items():
            if name == "end":
                one.ends.append((self.now, value))
            else:
                setattr(one, name, value)
        return True

    def update(self, id: str, new: dict[str, Any]) -> bool:
        one = self.told[id]
        if one.replaced is not None:
            return False
        before = {name: getattr(one, name) for name, value in new.items() if getattr(one, name) != value}
        if not before:
            return True
        if not self.set(id, {name: new[name] for name in before}):
            return False
        one.before.append(before)
        return True

    def rewrite(self, id: str, text: str, new: str) -> None:
        old = self.told[id]
        known = self.same(old.space, text, old.end)
        if not known:
            self.told[new] = Told(
                old.space,
                text,
                self.now,
                old.tags,
                old.importance,
                old.pinned,
                [(-1.0, old.end)],
                old.expires,
            )
        assert known in ("", new)
        self.replace(id, new, rewritten=not known)

    def undo(self, id: str) -> bool:
        one = self.told[id]
        if one.replaced is not None:
            return self.reopen(id)
        if one.before:
            if not self.set(id, one.before[-1]):
                return False
            one.before.pop()
            return True
        older = [
            o for o, old in self.told.items() if old.by == id and old.rewritten and old.forgotten is None
        ]
        return bool(older) and self.reopen(older[-1])

    def reopen(self, id: str) -> bool:
        one, newer = self.told[id], self.told.get(self.told[id].by)
        withdraws = newer is not None and newer.forgotten is None and one.rewritten
        if withdraws and newer is not None:
            if newer.replaced is not None:
                return False
            newer.forgotten = self.now
        if self.same(one.space, one.text, one.end):
            if withdraws and newer is not None:
                newer.forgotten = None
            return False
        one.replaced, one.by, one.rewritten = None, "", False
        return True

    def restore(self, id: str) -> None:
        one = self.told[id]
        if one.forgotten is None or self.same(one.space, one.text, one.end):
            return
        one.forgotten = None
        if one.expires is not None and one.expires <= self.now:
            one.expires = None


class Life:
    """Both of them, living through the same."""

    def __init__(self, folder: Path) -> None:
        self.model = Model()
        self.memories = Memories(
            Database(folder / "memory.db", MIGRATIONS),
            BackgroundEmbedder(Settings(embedder="none")),
            clock=lambda: BEGIN + timedelta(days=self.model.now),
        )
        self.before: dict[str, Told] = {}
        self.changing = Changing(self.memories)
        self.forgetting = Forgetting(self.memories)

    def step(self, step: tuple[Any, ...]) -> None:
        days, what, *arguments = step
        self.model.now += days
        self.before = deepcopy(self.model.told)
        self.model.sweep()
        getattr(self, what)(*arguments)
        self.check()

    def add(self, space: str, text: str, tags: tuple[str, ...], end: int, expires: int, place: int) -> None:
        replaced = [id for id in self.some(place) if expires % 2 and self.model.told[id].space == space]
        ends, dies = self.later(end), self.later(expires)
        (added,) = self.memories.add(
            space,
            [
                draft(
                    text,
                    tags=tags,
                    valid_to=day(ends) if ends is not None else "",
                    expires_at=day(dies) if dies is not None else "",
                    replaces=replaced,
                )
            ],
        )
        self.model.add(added.stored.id, space, text, tags, ends, dies)
        for id in replaced:
            self.model.replace(id, added.stored.id)

    def update(self, space: str, place: int, name: str, number: int) -> None:
        for id in self.some(place):
            moment = self.later(number)
            new, told = {
                "tags": ({"tags": (f"t{number}",)}, {"tags": [f"t{number}"]}),
                "importance": ({"importance": number / 10}, {"importance": number / 10}),
                "pinned": ({"pinned": number % 2 == 1}, {"pinned": number % 2 == 1}),
                "end": ({"end": moment}, {"valid_to": day(moment) if moment is not None else "never"}),
                "expires": (
                    {"expires": moment},
                    {"expires_at": day(moment) if moment is not None else "never"},
                ),
            }[name]
            refuses = not self.model.present(id, space) or not self.model.update(id, new)
            with self.refused(refuses):
                self.changing.change(space, id, change(self.memories.now(), **told))

    def rewrite(self, space: str, place: int, text: str) -> None:
        for id in self.some(place):
            one = self.model.told[id]
            refuses = not self.model.present(id, space) or one.replaced is not None
            with self.refused(refuses):
                changed = self.changing.change(space, id, change(self.memories.now(), text=text))
                if one.text != text:
                    self.model.rewrite(id, text, changed.memory.id)

    def undo(self, space: str, place: int) -> None:
        for id in self.some(place):
            refuses = not self.model.present(id, space) or not self.model.undo(id)
            with self.refused(refuses):
                self.changing.undo(space, id)

    def forget(self, space: str, place: int) -> None:
        for id in self.some(place):
            if self.model.present(id, space):
                self.model.told[id].forgotten = self.model.now
            self.forgetting.forget(space, [id])

    def restore(self, space: str, place: int) -> None:
        for id in self.some(place):
            if self.model.told[id].space == space:
                self.model.restore(id)
            self.forgetting.restore(space, [id])

    def erase(self, space: str, place: int) -> None:
        for id in self.some(place):
            if self.model.told[id].space == space:
                self.model.erase(id)
            self.forgetting.erase(space, [id])

    def check(self) -> None:
        now = self.model.now
        for space in SPACES:
            assert self.search(space, Filter()) == self.held(space, now)
            for then in (now * share for share in (0.0, 0.3, 0.6, 0.9)):
                wanted = filtered(as_of=day(round(then)))
                assert self.search(space, wanted) == self.held(space, round(then)), (space, then, now)
            for id in self.model.told:
                self.check_one(space, id)

    def check_one(self, space: str, id: str) -> None:
        found, one = self.memories.get(space, [id]), self.model.told[id]
        if not self.model.present(id, space):
            assert found == []
            return
        (kept,) = found
        assert (kept.text, kept.tags, kept.importance, kept.pinned) == (
            one.text,
            one.tags,
            one.importance,
            one.pinned,
        )
        assert kept.valid_to == (day(one.end) if one.end is not None else "")
        assert kept.expires_at == (day(one.expires) if one.expires is not None else "")
        assert kept.replaced_by == one.by

    def search(self, space: str, wanted: Filter) -> list[str]:
        finder = self.memories.finder
        passages = finder.matching(space, "note", wanted, 1000)
        places = finder.places(space, list(passages), wanted, self.memories.now())
        return sorted({place.memory for place in places.values()})

    def held(self, space: str, at: float) -> list[str]:
        now = self.model.now
        return sorted(id for id, one in self.model.told.items() if one.space == space and one.held(at, now))

    def some(self, place: int) -> list[str]:
        """One of the memories there are, by its place from the last; none where there are none."""
        ids = list(self.model.told)
        return [ids[-1 - place % len(ids)]] if ids else []

    def later(self, number: int) -> float | None:
        return None if number < 4 else self.model.now + number - 3

    @contextmanager
    def refused(self, refuses: bool) -> Iterator[None]:
        try:
            yield
        except InvalidArgument:
            assert refuses
            self.model.told = self.before  # nor has it swept
        else:
            assert not refuses


texts = st.sampled_from([f"A note of {name}." for name in ("tide", "salt", "rope")])
spaces = st.sampled_from(SPACES)
places = st.integers(0, 3)
numbers = st.integers(0, 9)
names = st.sampled_from(["tags", "importance", "pinned", "end", "expires"])
tags = st.sampled_from([(), ("x",), ("x", "y")])
days = st.sampled_from([0, 1, 1, 3, 20])
steps = st.lists(
    st.one_of(
        st.tuples(days, st.just("add"), spaces, texts, tags, numbers, numbers, places),
        st.tuples(days, st.just("update"), spaces, places, names, numbers),
        st.tuples(days, st.just("rewrite"), spaces, places, texts),
        st.tuples(days, st.just("undo"), spaces, places),
        st.tuples(days, st.just("undo"), spaces, places),
        st.tuples(days, st.sampled_from(["forget", "restore", "erase"]), spaces, places),
    ),
    min_size=4,
    max_size=25,
)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(steps)
def test_what_holds_what_held_and_what_undo_restores_are_as_a_plain_model_says(
    lived: list[tuple[Any, ...]],
) -> None:
    with TemporaryDirectory() as folder:
        life = Life(Path(folder))
        try:
            for step in itertools.chain([(0, "add", "a", "A note of tide.", (), 0, 0, 0)], lived):
                life.step(step)
        finally:
            life.memories.close()
