"""Gathering evidence in steps: search, select, search again, serve. Whoever calls decides; nothing here does.

A research begins with the search for its question. Each passage found has an id that it keeps (`d1`, `d2` …)
and is shown once. The caller selects the ones that are evidence, searches for what is still missing, and
finishes; what it selected is served. `TABLE` holds every move there is: what is absent is refused.

    searching  ── search ──────> searching      with the last search: selecting
    searching  ── select, drop ─> searching
    selecting  ── select, drop ─> selecting
    either     ── finish ──────> finished       asked again, it serves the same

Without a selection the first search's passages are served: that is one-shot search.

Source: Jiang et al., "s3: You Don't Need That Much Data to Train a Search Agent via RL", arXiv 2505.14146.
There the positions of passages in the last window name them; ids that last are this module's change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pygent_rag.extraction import stem
from pygent_rag.passage import Passage
from pygent_rag.ranking import Ranked
from pygent_shared.errors import InvalidArgument, UnknownName
from pygent_shared.fulltext import terms

State = Literal["searching", "selecting", "finished"]
Move = Literal["search", "last search", "select", "finish"]

TABLE: Mapping[tuple[State, Move], State] = {
    ("searching", "search"): "searching",
    ("searching", "last search"): "selecting",
    ("searching", "select"): "searching",
    ("searching", "finish"): "finished",
    ("selecting", "select"): "selecting",
    ("selecting", "finish"): "finished",
    ("finished", "finish"): "finished",
}

NOW: Mapping[State, str] = {
    "searching": "Select or drop passages, search with another query, or finish.",
    "selecting": "Its searches are used up: select or drop passages, or finish.",
    "finished": "It is finished: finish=true serves it again, and a new question begins another.",
}
"""What is possible in a state."""

Found = tuple[Passage, Ranked]


class Research:
    """One question on its way to its evidence.

    Args:
        question: what it is about; its first search.
        collection: where it searches; "" is everywhere.
        searches: how many searches it has, the first among them.

    Attributes:
        window: what the last search showed for the first time, best first.
        ranking: that, and what had been shown before and was found again, best first.
    """

    def __init__(self, question: str, collection: str = "", searches: int = 4) -> None:
        self.question = question
        self.collection = collection
        self.state: State = "searching"
        self.queries: list[str] = []
        self.found: dict[str, Found] = {}
        self.selected: list[str] = []
        self.window: list[str] = []
        self.ranking: list[str] = []
        self._searches = searches
        self._first: list[str] = []
        self._dropped: set[str] = set()

    @property
    def searches_left(self) -> int:
        return self._searches - len(self.queries)

    @property
    def now(self) -> str:
        """What is possible now, in a sentence."""
        return NOW[self.state]

    def may_search(self) -> None:
        """See that another search is possible.

        Raises:
            InvalidArgument: it is not; the message says what is.
        """
        self._next("search", "query")

    def searched(self, query: str, found: Iterable[Found], most: int) -> list[str]:
        """Take in what a search found, best first; the ids of the first `most` that were not shown before."""
        self.state = self._next("search" if self.searches_left > 1 else "last search", "query")
        shown = {passage.id: id for id, (passage, _) in self.found.items()}
        self.window, self.ranking = [], []
        for passage, ranked in found:
            if (id := shown.get(passage.id)) is None:
                if len(self.window) == most:
                    break
                id = f"d{len(self.found) + 1}"
                self.found[id] = (passage, ranked)
                self.window.append(id)
            self.ranking.append(id)
        if not self.queries:
            self._first = self.window
        self.queries.append(query)
        return self.window

    def select(self, ids: Sequence[str], drop: Sequence[str] = ()) -> None:
        """Keep these passages as evidence, and take others out of it.

        Raises:
            UnknownName: there is no passage of such an id; nothing is changed then.
        """
        after = self._next("select", "select")
        for id in (*ids, *drop):
            if id not in self.found:
                raise UnknownName("passage", id, self.found, "Use the ids that its searches gave.")
        self.state = after
        self._dropped = (self._dropped | set(drop)) - set(ids)
        self.selected = [id for id in dict.fromkeys([*self.selected, *ids]) if id not in self._dropped]

    def finish(self) -> list[Passage]:
        """The evidence, in the order it was selected; without any, the first search's passages."""
        self.state = self._next("finish", "finish")
        return [self.found[id][0] for id in self.served]

    @property
    def served(self) -> list[str]:
        """The ids of what `finish` serves."""
        return self.selected or [id for id in self._first if id not in self._dropped]

    def open_words(self) -> list[str]:
        """The question's words that stand in no selected passage, as a hint what to search for next."""
        texts = [" ".join((*passage.context, passage.text)) for passage, _ in self._evidence()]
        held = {stem(word) for text in texts for word in terms(text)}
        return [word for word in dict.fromkeys(terms(self.question)) if stem(word) not in held]

    def _evidence(self) -> list[Found]:
        return [self.found[id] for id in self.selected]

    def _next(self, move: Move, argument: str) -> State:
        if (after := TABLE.get((self.state, move))) is None:
            raise InvalidArgument(argument, f"this research is {self.state}", NOW[self.state])
        return after
