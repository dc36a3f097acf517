"""Which version is the newer one."""

import re

NUMBER = r"(?:0|[1-9][0-9]*)"
VERSION = re.compile(rf"({NUMBER}(?:\.{NUMBER}){{0,3}})(?:-([a-z]+)({NUMBER})?)?")


def compare(left: str, right: str) -> int:
    """-1, 0 or 1: older, as old, newer.

    Raises:
        ValueError: one is no version.
    """
    first, second = _key(left), _key(right)
    return (first > second) - (first < second)


def newest(versions: list[str]) -> str:
    """The newest of some versions.

    Raises:
        ValueError: one is no version, or there are none.
    """
    return max(versions, key=_key)


def _key(version: str) -> tuple[list[int], bool, str, int]:
    found = VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r} is no version")
    numbers = [int(number) for number in found[1].split(".")]
    numbers += [0] * (4 - len(numbers))
    return numbers, found[2] is None, found[2] or "", int(found[3] or 0)
