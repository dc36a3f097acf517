"""`python -m pygent_shared.embeddings.worker MODEL`: sentence-transformers in a process of its own, for many
texts, so that the server's own stays small.

It computes in bfloat16 where the processor does so itself, which is nearly twice as fast and was measured to
turn no vector noticeably (cosine 0.9999), else in float32. It says on stdout that it is ready, answers each
message on stdin (a JSON array of texts) with their vectors, and ends with stdin, or after IDLE_SECONDS.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from pygent_shared.embeddings.onnx_export import TRIED
from pygent_shared.embeddings.sentence_transformers import quiet
from pygent_shared.embeddings.weights import located

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

IDLE_SECONDS = 120.0
LEAST_COSINE = 0.999
"""Between bfloat16's vector of a text and float32's, for every text tried."""

_SIZE = struct.Struct(">Q")


def send(stream: IO[bytes], body: bytes) -> None:
    """One message."""
    stream.write(_SIZE.pack(len(body)) + body)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The other end's message; None when it has gone."""
    size = stream.read(_SIZE.size)
    if len(size) < _SIZE.size:
        return None
    body = stream.read(_SIZE.unpack(size)[0])
    return body if len(body) == _SIZE.unpack(size)[0] else None


def computes_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; where it does not, that is slower than float32."""
    import torch

    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def main(model: str) -> None:
    if hasattr(os, "nice"):
        os.nice(10)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not pass for an answer
    source, _ = located(model)
    quiet()
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    loaded = SentenceTransformer(source, device="cpu")
    precision = "bfloat16" if computes_bfloat16() and _lowered(loaded) else "float32"
    send(answers, precision.encode())
    while (asked := _next()) is not None:
        send(answers, _vectors(loaded, json.loads(asked)).tobytes())


def _next() -> bytes | None:
    """The next message; after too long a wait the process ends."""
    idle = threading.Timer(IDLE_SECONDS, os._exit, [0])
    idle.start()
    try:
        return receive(sys.stdin.buffer)
    finally:
        idle.cancel()


def _lowered(loaded: SentenceTransformer) -> bool:
    """Turn a model to bfloat16, unless its vectors would be others; whether it was."""
    whole = _vectors(loaded, TRIED)
    loaded.bfloat16()
    if float((whole * _vectors(loaded, TRIED)).sum(1).min()) >= LEAST_COSINE:
        return True
    loaded.float()
    return False


def _vectors(loaded: SentenceTransformer, texts: Any) -> Any:
    """Of unit length: (texts, dimensions)."""
    import torch

    found = loaded.encode(list(texts), batch_size=32, convert_to_tensor=True, show_progress_bar=False)
    return torch.nn.functional.normalize(found.float(), dim=1).numpy().astype("<f4")


if __name__ == "__main__":
    main(sys.argv[1])
