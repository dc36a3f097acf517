"""How sources are asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Access:
    """An address where they can complain, and keys that allow for more requests."""

    mail: str = ""
    semantic_scholar_key: str = ""
    openalex_key: str = ""
