"""Turning text into vectors: the seam, and the lazy table of what stands behind it.

A vector is bytes: float32, little-endian, of unit length, so that the dot product of two is their cosine.
Nothing is imported or loaded before the first use, and loading never holds up an answer: until it is done
(or where nothing is installed) search is lexical and every result says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from pygent_shared.settings import Settings

Vector = bytes
"""float32, little-endian, unit length; `4 * dimensions` bytes."""


class Embedder(Protocol):
    """Something that turns texts into vectors. `model` names it in every stored vector."""

    @property
    def model(self) -> str:
        """A name that changes whenever the vectors would, such as `all-MiniLM-L6-v2@53aa5117`."""

    @property
    def dimensions(self) -> int:
        """The number of components of a vector."""

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text, in order. Slow: never call it on the event loop."""


# What settings.embedder may name -> (the package it needs, where its `load(model) -> Embedder` is).
ENGINES = {
    "numpy": ("tokenizers", "pygent_shared.embeddings.bert:load"),
    "sentence_transformers": ("sentence_transformers", "pygent_shared.embeddings.sentence_transformers:load"),
}


def engine_for(settings: Settings) -> str | None:
    """The engine in force: the one named; for `auto`, the first that is installed and can compute the model;
    None for lexical only."""
    if settings.embedder == "none":
        return None
    if settings.embedder != "auto":
        return settings.embedder
    for name, (package, _) in ENGINES.items():
        if find_spec(package) and (name != "numpy" or _is_plain_bert(settings.embedding_model)):
            return name
    return None


def _is_plain_bert(model: str) -> bool:
    from pygent_shared.embeddings import bert, weights

    if model == weights.BUILT_IN:
        return weights.is_carried()
    return bert.fits(Path(model))
