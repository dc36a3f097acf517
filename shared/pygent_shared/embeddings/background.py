"""An embedder that loads in a thread of its own, from its first use on.

States: idle -> loading -> ready | failed; `absent` where no engine is installed or wanted. Only `ready`
gives vectors; every other state has a sentence that says why not.
"""

from __future__ import annotations

import logging
import pkgutil
import threading
from functools import cache
from typing import Literal

from pygent_shared.embeddings import ENGINES, Embedder, engine_for
from pygent_shared.errors import PygentError
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

State = Literal["absent", "idle", "loading", "ready", "failed"]


class BackgroundEmbedder:
    """Loads the configured embedder once, in the background. Safe for several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = engine_for(settings)
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._loaded: Embedder | None = None
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


def _why_absent(settings: Settings) -> str:
    if settings.embedder == "none":
        return "PYGENT_EMBEDDER is none"
    return "no embedding model is installed; install one: pip install 'pygent-factory[embeddings]'"


@cache
def _shared(embedder: str, model: str) -> BackgroundEmbedder:
    return BackgroundEmbedder(Settings(embedder=embedder, embedding_model=model))  # type: ignore[arg-type]


def shared_embedder(settings: Settings) -> BackgroundEmbedder:
    """The process's one embedder for these settings: servers that share a process share the model."""
    return _shared(settings.embedder, settings.embedding_model)
