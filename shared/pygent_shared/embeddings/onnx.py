"""Plain BERT models in 8-bit integers through ONNX Runtime: twice the texts a second, for many texts at once.

The export is made once for each model, by `onnx_export` in a process of its own, and kept. Its vectors pass
for the model's own: it was checked against them when it was made.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pygent_shared.embeddings import Vector
from pygent_shared.embeddings.bert import BATCH_TOKENS, batches, padded, tokenizer_of
from pygent_shared.embeddings.weights import located

RECIPE = 1
"""Part of an export's name: another one when exports are made otherwise."""
EXPORT_SECONDS = 900.0


class OnnxBert:
    """An `Embedder` over an export.

    Args:
        export: the file made by `onnx_export`.
        folder: the model it was made of, for its tokenizer.
        model: the name its vectors carry.
    """

    def __init__(self, export: Path, folder: Path, model: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # All but one: what answers meanwhile wants a core too.
        options.intra_op_num_threads = max(1, (os.cpu_count() or 2) - 1)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(export), options, providers=["CPUExecutionProvider"])
        self._tokenizer: Any = tokenizer_of(folder)
        self.model = model
        self.dimensions = int(self._session.get_outputs()[0].shape[-1])

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        import numpy as np

        vectors: dict[int, Vector] = {}
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        for batch in batches([len(ids) for ids in encoded], BATCH_TOKENS):
            ids, mask = padded([encoded[place] for place in batch])
            (rows,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask.astype(np.int64)})
            for place, row in zip(batch, rows, strict=True):
                vectors[place] = row.astype("<f4").tobytes()
        return [vectors[place] for place in range(len(texts))]


def is_made(model: str, kept_in: Path) -> bool:
    """Whether there is an export of a model, and the runtime for it."""
    return find_spec("onnxruntime") is not None and _export_of(model, kept_in).is_file()


def can_export() -> bool:
    """Whether what an export needs is installed."""
    return all(find_spec(package) for package in ("onnxruntime", "onnx", "torch", "transformers"))


def _export_of(model: str, kept_in: Path) -> Path:
    """Where the export of a model is, or will be."""
    name = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in model)[-100:]
    return kept_in / f"{name}-int8-{RECIPE}.onnx"


def export(model: str, kept_in: Path) -> Path:
    """Make the export of a model, unless there is one, in a process of its own. Takes a minute.

    Raises:
        RuntimeError: it could not be made, or differs too much from the model.
    """
    return _made(*located(model), kept_in)


def _made(source: str, name: str, kept_in: Path) -> Path:
    if (target := _export_of(name, kept_in)).is_file():
        return target
    kept_in.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pygent_shared.embeddings.onnx_export", source, str(target)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=EXPORT_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"exporting {name} took over {EXPORT_SECONDS:g} s") from error
    if done.returncode != 0 or not target.is_file():
        words = done.stderr.strip().splitlines()
        raise RuntimeError(f"exporting {name} failed: {words[-1] if words else done.returncode}")
    return target


def load(model: str, kept_in: Path) -> OnnxBert:
    """The engine for a model, exported now if that was never done.

    Raises:
        RuntimeError: see `export`.
        MissingExtra, WeightsChanged: see `located`.
    """
    source, name = located(model)
    return OnnxBert(_made(source, name, kept_in), Path(source), name)
