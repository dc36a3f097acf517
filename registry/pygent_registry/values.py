"""What stands under the keys of an entry: each kind of value, read or refused. Pure.

The one rule: a refusal is a clause about the entry, and repeats no value that may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

# Hosts count their timeouts in milliseconds as well as in seconds; nobody means a quarter of an hour.
_SURELY_MILLISECONDS = 1000


class Unusable(ValueError):
    """Why an entry cannot be used; becomes a `BadEntry`."""


def text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key) or ""
    if not isinstance(value, str):
        raise Unusable(f'its "{key}" is {value!r}, but it must be text')
    return value


def strings(raw: Mapping[str, Any], key: str) -> list[str]:
    value = raw.get(key) or []
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return [str(item) for item in value]
    raise Unusable(f'its "{key}" is {value!r}, but it must be a list of texts')


def mapping(raw: Mapping[str, Any], key: str) -> dict[str, str]:
    value = raw.get(key) or {}
    if isinstance(value, Mapping) and all(isinstance(item, str | int | float) for item in value.values()):
        return {name: str(item) for name, item in value.items()}
    raise Unusable(f'its "{key}" must be an object of texts')  # what it is may hold a secret


def seconds(raw: Mapping[str, Any], key: str) -> float | None:
    value = raw.get(key)
    if value is None:
        return None
    if not _is_number(value) or value <= 0:
        raise Unusable(f'its "{key}" is {value!r}, but it must be a number of seconds above 0')
    return value / 1000 if value >= _SURELY_MILLISECONDS else float(value)


def limit(value: object, where: str) -> float:
    """Seconds that only we count, so never milliseconds."""
    if not _is_number(value) or not 0 < value < float("inf"):
        raise Unusable(f'its "{where}" is {value!r}, but it must be a number of seconds above 0')
    return float(value)


def count(raw: Mapping[str, Any], key: str) -> int | None:
    value = raw.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise Unusable(f'its "{key}" is {value!r}, but it must be a whole number above 0')


def truth(raw: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    value = raw.get(key, default)
    if isinstance(value, bool):
        return value
    raise Unusable(f'its "{key}" is {value!r}, but it must be true or false')


def patterns(raw: Mapping[str, Any], key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """An empty list is none, not the default: `"allow": []` allows nothing."""
    value = raw.get(key)
    if value is None:
        return default
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise Unusable(f'its "{key}" is {value!r}, but it must be a list of tools\' names, with * for any part')


def table(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key) or {}
    if isinstance(value, Mapping):
        return value
    raise Unusable(f'its "{key}" is {value!r}, but it must be an object')


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
