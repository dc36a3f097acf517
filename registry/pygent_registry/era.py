"""The two protocol eras: 2025 (2024-11-05 to 2025-11-25) and 2026 (2026-07-28)."""

from __future__ import annotations

from mcp.types.version import MODERN_PROTOCOL_VERSIONS


def is_modern(version: str | None) -> bool:
    """Whether a protocol version is of the 2026 era."""
    return version in MODERN_PROTOCOL_VERSIONS
