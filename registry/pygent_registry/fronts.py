"""What installed packages serve beside the MCP endpoints, over the same registry (`pygent_shared.fronts`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pygent_shared.fronts import ENTRY_POINTS, Front, Progress
from pygent_shared.http.identity import Principal

if TYPE_CHECKING:
    from pygent_registry.registry import Registry


def installed() -> dict[str, EntryPoint]:
    """Every front that an installed package offers, by name."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def fronts(registry: Registry) -> list[Front]:
    """Those that are not switched off."""
    built = [
        point.load()(registry.settings, FrontCalls(registry, name)) for name, point in installed().items()
    ]
    return [front for front in built if front is not None]


class FrontCalls:
    """`pygent_shared.fronts.Tools`: calls go the way of every call, as those of whoever called the front."""

    def __init__(self, registry: Registry, name: str) -> None:
        self._registry = registry
        self._name = name

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        caller: Principal | None = None,
        progress: Progress | None = None,
        meta: Mapping[str, Any] = MappingProxyType({}),
        asking: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return await self._registry.calls.call(
            name, arguments, by=self._name, progress=progress, caller=caller, meta=meta, asking=asking
        )
