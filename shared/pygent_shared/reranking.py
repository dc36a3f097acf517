"""Reading question and passage together: a cross-encoder, by name, where one is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Protocol

from pygent_shared.errors import MissingExtra

RERANKED = 50
"""Of the ranking, so many of the first are put in a new order."""


class Reranker(Protocol):
    """Something that says how well a text answers a question. Slow: never call it on the event loop."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, higher is better."""


Load = Callable[[str], Reranker]
"""Makes the reranker of a name."""


class CrossEncoderReranker:
    """A `CrossEncoder` of sentence-transformers: a local folder, or a name on the hub.

    Raises:
        MissingExtra: sentence-transformers is missing.
        OSError: there is no such model.
        ValueError: it is none that gives a pair of texts one score.
    """

    def __init__(self, model: str) -> None:
        if find_spec("sentence_transformers") is None:
            raise MissingExtra("Reranking", "embeddings")
        from pygent_shared.embeddings.sentence_transformers import quiet

        quiet()
        from sentence_transformers import CrossEncoder

        self._model = CrossEncoder(model, device="cpu")
        kinds = self._model.config.architectures or []
        if kinds and all(kind.endswith("Model") for kind in kinds):
            # It would be given a head of random weights.
            raise ValueError(f"it is a {kinds[0]} without a head that gives scores, no cross-encoder")
        if self._model.num_labels != 1:
            raise ValueError(f"it gives {self._model.num_labels} scores to a pair of texts, and not one")

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        found = self._model.predict([(question, text) for text in texts], show_progress_bar=False)
        return [float(score) for score in found]


class Reranking:
    """The reranker of a setting, made when it is first wanted; one that cannot be had says why, each time."""

    def __init__(self, model: str, load: Load = CrossEncoderReranker) -> None:
        self.model = model
        self._load = load
        self._lock = threading.Lock()
        self._made: Reranker | None = None
        self._why = ""

    def order(self, question: str, texts: Sequence[str]) -> tuple[list[int], str]:
        """The texts' numbers, best first, and "" ; or as they came, and why."""
        with self._lock:
            if self._made is None and not self._why:
                try:
                    self._made = self._load(self.model)
                except (MissingExtra, OSError, ValueError) as error:
                    self._why = f"not reranked by {self.model}: {str(error).splitlines()[0]}"
            if self._made is None:
                return list(range(len(texts))), self._why
            scores = self._made.scores(question, texts)
        return sorted(range(len(texts)), key=lambda number: -scores[number]), ""
