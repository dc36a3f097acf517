"""The tides at North Quay, of one day."""

from typing import NamedTuple


class Tide(NamedTuple):
    """When, and how many metres deep."""

    time: str
    depth: float


TABLE = [Tide("03:12", 4.8), Tide("09:25", 1.1), Tide("15:37", 5.1), Tide("21:50", 0.9)]
