"""What the indexes in memory ask of numpy's arrays."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_any(values: NDArray[np.int64], wanted: Collection[int]) -> NDArray[np.bool_]:
    """Which of these are among the wanted; one is compared at once."""
    some = np.fromiter(wanted, np.int64, len(wanted))
    found: NDArray[np.bool_] = values == some[0] if len(some) == 1 else np.isin(values, some)
    return found
