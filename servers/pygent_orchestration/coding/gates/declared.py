"""Gives a fresh environment what is declared by the wheel in it, out of this Python's own, and pytest:

    declared.py SITE_PACKAGES BESIDE

BESIDE is a new folder with a link to each package, which the environment looks into after its own. What is
declared and is not here, or in another version, is told; then it exits with 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TESTS = "pytest"


def main() -> None:
    """Link them."""
    site_packages, beside = map(Path, sys.argv[1:])
    here = {canonicalize_name(one.name): one for one in distributions() if one.name}
    fresh = list(distributions(path=[str(site_packages)]))
    found: dict[str, Distribution] = {}
    asked = [(Requirement(TESTS), "pytest"), *((one, dist.name) for dist in fresh for one in _declared(dist))]
    while asked:
        wanted, by = asked.pop()
        name = canonicalize_name(wanted.name)
        has = here.get(name)
        if has is None or not wanted.specifier.contains(has.version, prereleases=True):
            what = f"{has.version} is" if has else "none is"
            sys.exit(f'{by} declares "{wanted}", and {what} installed here.')
        if name not in found:
            found[name] = has
            asked += [(one, has.name) for one in _declared(has, wanted.extras)]
    beside.mkdir()
    for dist in found.values():
        for top in {file.parts[0] for file in dist.files or ()} - {"..", "__pycache__"}:
            if not (beside / top).exists():
                (beside / top).symlink_to(str(dist.locate_file(top)))
    (site_packages / "pygent-declared.pth").write_text(f"{beside}\n")


def _declared(dist: Distribution, extras: set[str] | None = None) -> Iterator[Requirement]:
    """What it needs here."""
    for line in dist.requires or ():
        one = Requirement(line)
        if one.marker is None or any(
            one.marker.evaluate({"extra": extra}) for extra in ("", *(extras or ()))
        ):
            yield one


if __name__ == "__main__":
    main()
