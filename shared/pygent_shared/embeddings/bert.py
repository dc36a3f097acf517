"""BERT's forward pass in numpy, over the memory-mapped weights that sentence-transformers would load.

A query needs no torch: this is ready in a tenth of a second where importing sentence-transformers takes five,
and gives the same vectors (cosine 1.00000). Whatever is not plain BERT with mean pooling is refused, and
left to sentence-transformers.

Source: Devlin et al., "BERT", NAACL 2019; Reimers and Gurevych, "Sentence-BERT", EMNLP 2019.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent_shared.embeddings import Vector
from pygent_shared.embeddings.weights import located

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

BATCH_TOKENS = 2048
"""Tokens, padding included, in one pass: more fits no cache and is no faster."""


class Bert:
    """An `Embedder` over a folder in the layout of sentence-transformers.

    Args:
        folder: holds `config.json`, `tokenizer.json`, `model.safetensors` and `modules.json`.
        model: the name its vectors carry.

    Raises:
        ValueError: the model is none that this can compute.
        OSError: the folder lacks a file.
    """

    def __init__(self, folder: Path, model: str) -> None:
        # Heard only before numpy's first import: threads that wait for each other over one question's few
        # tokens cost it three times the processor time.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        config = _config(folder)
        weights = _safetensors(folder / "model.safetensors")
        self.model = model
        self.dimensions = int(config["hidden_size"])
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config["layer_norm_eps"])
        self._tokenizer = tokenizer_of(folder)
        self._words = weights["embeddings.word_embeddings.weight"]
        self._places = weights["embeddings.position_embeddings.weight"]
        self._type = weights["embeddings.token_type_embeddings.weight"][0]
        self._norm = _Norm.of(weights, "embeddings.LayerNorm", self._epsilon)
        self._layers = [
            _Layer.of(weights, f"encoder.layer.{number}", self._heads, self._epsilon)
            for number in range(int(config["num_hidden_layers"]))
        ]

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        vectors: dict[int, Vector] = {}
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        for batch in batches([len(ids) for ids in encoded], BATCH_TOKENS):
            for place, row in zip(batch, self._pooled([encoded[place] for place in batch]), strict=True):
                vectors[place] = row.astype("<f4").tobytes()
        return [vectors[place] for place in range(len(texts))]

    def _pooled(self, encoded: Sequence[Sequence[int]]) -> Floats:
        """The mean of each text's tokens, of unit length: (texts, dimensions)."""
        import numpy as np

        ids, mask = padded(encoded)
        hidden = self._hidden(ids, mask)
        weights = mask[..., None].astype(np.float32)
        mean = (hidden * weights).sum(1) / weights.sum(1)
        normal: Floats = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return normal

    def _hidden(self, ids: NDArray[np.int64], mask: NDArray[np.int8]) -> Floats:
        """The last layer's output: (texts, tokens, dimensions)."""
        import numpy as np

        texts, tokens = ids.shape
        rows = self._norm(self._words[ids] + self._places[:tokens] + self._type)
        unseen = None if mask.all() else ((1 - mask) * np.float32(-1e9)).astype(np.float32)[:, None, None, :]
        hidden = rows.reshape(texts * tokens, self.dimensions)
        for layer in self._layers:
            hidden = layer(hidden, texts, unseen)
        return hidden.reshape(texts, tokens, self.dimensions)


def load(model: str) -> Bert:
    """The engine for the built-in model or a local folder. Takes a tenth of a second.

    Raises:
        MissingExtra, WeightsChanged: see `located`.
        ValueError, OSError: the model is none that this can compute.
    """
    source, name = located(model)
    return Bert(Path(source), name)


def fits(folder: Path) -> bool:
    """Whether a folder holds a model that this can compute."""
    try:
        _config(folder)
    except (OSError, ValueError):
        return False
    return True


def batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Places of texts of like length, as many as have, padded, at most so many tokens together."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > most:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def padded(encoded: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Token ids and their mask, both (texts, longest)."""
    import numpy as np

    longest = max(map(len, encoded))
    ids = np.zeros((len(encoded), longest), np.int64)
    mask = np.zeros((len(encoded), longest), np.int8)
    for row, tokens in enumerate(encoded):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


@dataclass(frozen=True)
class _Norm:
    """Layer normalisation over the last axis."""

    weight: Floats
    bias: Floats
    epsilon: float

    @classmethod
    def of(cls, weights: dict[str, Floats], name: str, epsilon: float) -> _Norm:
        return cls(weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)

    def __call__(self, rows: Floats) -> Floats:
        import numpy as np

        rows = rows - rows.mean(-1, keepdims=True)
        variance = np.einsum("...i,...i->...", rows, rows)[..., None] / rows.shape[-1]
        normal: Floats = rows / np.sqrt(variance + np.float32(self.epsilon)) * self.weight + self.bias
        return normal


@dataclass(frozen=True)
class _Linear:
    weight: Floats
    bias: Floats

    @classmethod
    def of(cls, weights: dict[str, Floats], name: str) -> _Linear:
        return cls(weights[f"{name}.weight"].T, weights[f"{name}.bias"])

    def __call__(self, rows: Floats) -> Floats:
        return rows @ self.weight + self.bias


@dataclass(frozen=True)
class _Layer:
    """One encoder layer. `attend` gives queries, keys and values at once, the queries scaled already."""

    heads: int
    attend: _Linear
    attended: _Linear
    attended_norm: _Norm
    widen: _Linear
    narrow: _Linear
    norm: _Norm

    @classmethod
    def of(cls, weights: dict[str, Floats], name: str, heads: int, epsilon: float) -> _Layer:
        import numpy as np

        parts = [_Linear.of(weights, f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
        scale = np.float32((parts[0].bias.size // heads) ** -0.5)
        parts[0] = _Linear(parts[0].weight * scale, parts[0].bias * scale)
        return cls(
            heads=heads,
            attend=_Linear(
                np.concatenate([part.weight for part in parts], axis=1),
                np.concatenate([part.bias for part in parts]),
            ),
            attended=_Linear.of(weights, f"{name}.attention.output.dense"),
            attended_norm=_Norm.of(weights, f"{name}.attention.output.LayerNorm", epsilon),
            widen=_Linear.of(weights, f"{name}.intermediate.dense"),
            narrow=_Linear.of(weights, f"{name}.output.dense"),
            norm=_Norm.of(weights, f"{name}.output.LayerNorm", epsilon),
        )

    def __call__(self, rows: Floats, texts: int, unseen: Floats | None) -> Floats:
        rows = self.attended_norm(rows + self.attended(self._attention(rows, texts, unseen)))
        return self.norm(rows + self.narrow(_gelu(self.widen(rows))))

    def _attention(self, rows: Floats, texts: int, unseen: Floats | None) -> Floats:
        import numpy as np

        dimensions = rows.shape[1]
        split = self.attend(rows).reshape(texts, -1, 3, self.heads, dimensions // self.heads)
        queries, keys, values = split.transpose(2, 0, 3, 1, 4)
        scores = queries @ keys.swapaxes(-1, -2)
        if unseen is not None:
            scores += unseen
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(-1, keepdims=True)
        mixed: Floats = (scores @ values).transpose(0, 2, 1, 3).reshape(-1, dimensions)
        return mixed


def _gelu(rows: Floats) -> Floats:
    """x times the normal distribution's share below x, by its error function to within 1.5e-7.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
    """
    import numpy as np

    scaled = np.abs(rows) * np.float32(math.sqrt(0.5))
    t = np.reciprocal(1 + np.float32(0.3275911) * scaled)
    polynomial = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + np.float32(factor)) * t
    error = np.copysign(1 - polynomial * np.exp(-scaled * scaled), rows)
    result: Floats = rows * np.float32(0.5) * (1 + error)
    return result


def _config(folder: Path) -> dict[str, Any]:
    """The model's configuration.

    Raises:
        ValueError: it is none that this can compute.
        OSError: a file is missing.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    kinds = [
        module["type"].rpartition(".")[2] for module in json.loads((folder / "modules.json").read_text())
    ]
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
    modes = {mode for mode, chosen in pooling.items() if mode.startswith("pooling_mode_") and chosen is True}
    expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    found = {"position_embedding_type": "absolute", **config}
    plain = all(found.get(key) == value for key, value in expected.items())
    if not plain or kinds[:2] != ["Transformer", "Pooling"] or modes != {"pooling_mode_mean_tokens"}:
        raise ValueError(f"{folder} holds no plain BERT with mean pooling")
    if not (folder / "model.safetensors").is_file() or not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder} lacks model.safetensors or tokenizer.json")
    return config


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer of a model, which cuts texts at the length it was trained for."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    longest = json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(int(longest))
    tokenizer.no_padding()
    return tokenizer


def _safetensors(path: Path) -> dict[str, Floats]:
    """The tensors of a file, mapped and not read.

    Source: huggingface.co/docs/safetensors: 8 bytes of header length, a JSON header, the data.

    Raises:
        ValueError: one is not of 32-bit floats.
    """
    import numpy as np

    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, "r", offset=8 + length)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] == "I64":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path} holds {entry['dtype']}, and only F32 is computed here")
        start, end = entry["data_offsets"]
        tensors[name] = data[start:end].view(np.float32).reshape(entry["shape"])
    return tensors
