"""`python -m pygent_shared.embeddings.onnx_export FOLDER FILE`: a plain BERT as 8-bit ONNX, checked.

Quantised dynamically with one scale for each output channel (with one for each matrix the vectors turn by
20 degrees, so that is not offered), and kept only where its vectors are nearly the model's own.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

LEAST_COSINE = 0.985
"""Between the export's vector of a text and the model's own, for every text tried. A lone word was seen at
0.966: what is embedded in bulk is passages."""
TRIED = (
    "What is the capital of France?",
    "def parse(text: str) -> list[Token]: return [Token(word) for word in text.split()]",
    "The server answers within a second, or says why it does not.",
    "Table 3: mean and standard deviation of the measured temperatures, in kelvin (n = 412).",
    "Der Vertrag kann von beiden Seiten mit einer Frist von drei Monaten gekündigt werden.",
    "Yes, on Tuesday at noon.",
    "Mitochondria generate most of the chemical energy that a cell needs. " * 12,
    "ERROR 2026-01-04T10:22:31Z connection to 10.0.0.7:5432 refused; retrying in 3.2 s",
)


def main(folder: Path, target: Path) -> None:
    """Export, quantise, check, and only then put the file in its place."""
    os.nice(10)
    with TemporaryDirectory(dir=target.parent) as scratch:
        whole, small = Path(scratch, "whole.onnx"), Path(scratch, "int8.onnx")
        _export(folder, whole)
        _quantise(whole, small)
        _check(folder, small)
        os.replace(small, target)


def _export(folder: Path, target: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    bert = AutoModel.from_pretrained(folder, attn_implementation="eager", local_files_only=True).eval()

    class Pooled(torch.nn.Module):
        """The model with its mean pooling and its normalisation."""

        def __init__(self) -> None:
            super().__init__()
            self.bert = bert

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.bert(
                input_ids=input_ids,
                attention_mask=attention_mask,
                token_type_ids=torch.zeros_like(input_ids),
            ).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, p=2, dim=1)

    # The tracer warns of what it takes for constants; what matters is checked below.
    warnings.simplefilter("ignore")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    example = tokenizer(["short", "a somewhat longer text"], padding=True, return_tensors="pt")
    torch.onnx.export(
        Pooled().eval(),
        (example["input_ids"], example["attention_mask"]),
        str(target),
        dynamo=False,  # the graph that dynamo gives is refused by the runtime
        opset_version=17,
        input_names=["input_ids", "attention_mask"],
        output_names=["vector"],
        dynamic_axes={
            "input_ids": {0: "texts", 1: "tokens"},
            "attention_mask": {0: "texts", 1: "tokens"},
            "vector": {0: "texts"},
        },
    )


def _quantise(whole: Path, small: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(whole, small, weight_type=QuantType.QInt8, per_channel=True)


def _check(folder: Path, small: Path) -> None:
    import numpy as np

    from pygent_shared.embeddings.bert import Bert
    from pygent_shared.embeddings.onnx import OnnxBert

    own, exported = (
        np.array([np.frombuffer(vector, "<f4") for vector in engine.embed(TRIED)])
        for engine in (Bert(folder, ""), OnnxBert(small, folder, ""))
    )
    if (least := float((own * exported).sum(1).min())) < LEAST_COSINE:
        sys.exit(f"a vector of the export has the cosine {least:.4f} with the model's, below {LEAST_COSINE}")
    print(f"least cosine with the model's own vectors: {least:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
