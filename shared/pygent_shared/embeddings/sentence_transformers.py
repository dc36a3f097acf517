"""The sentence-transformers engine: any model, and seconds to load."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pygent_shared.embeddings import Vector
from pygent_shared.embeddings.weights import located
from pygent_shared.errors import MissingExtra

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SentenceTransformersEmbedder:
    """A loaded model. One thread encodes at a time."""

    def __init__(self, loaded: SentenceTransformer, model: str) -> None:
        self._loaded = loaded
        self._one_at_a_time = threading.Lock()
        self.model = model
        self.dimensions = int(loaded.get_embedding_dimension() or 0)

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        with self._one_at_a_time:
            encoded = self._loaded.encode(
                list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False
            )
        return [vector.astype("<f4").tobytes() for vector in encoded]


def load(model: str) -> SentenceTransformersEmbedder:
    """The embedder for `model`: the built-in one, a local folder, or a name on the hub. Takes seconds.

    Raises:
        MissingExtra: sentence-transformers, or the package that carries the built-in weights, is missing.
        WeightsChanged: the built-in weights fail their checksum.
    """
    if find_spec("sentence_transformers") is None:
        raise MissingExtra("Semantic search", "embeddings")
    source, name = located(model)
    quiet()
    import torch
    from sentence_transformers import SentenceTransformer

    # OpenMP threads that spin for work starve a small machine; one thread a batch was measured fastest there.
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    return SentenceTransformersEmbedder(SentenceTransformer(source, device="cpu"), name)


def quiet() -> None:
    """No progress bars and no questions to a hub from the libraries below."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
