"""The folders that files may be read from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pygent_shared.errors import NotAllowed


def check_root(path: Path, roots: Sequence[str]) -> None:
    """Raise NotAllowed unless a path is in one of the folders that may be read, and not in a hidden one."""
    if not roots:
        return
    for root in roots:
        real = Path(os.path.realpath(os.path.expanduser(root)))
        if path.is_relative_to(real) and not any(
            part.startswith(".") for part in path.relative_to(real).parts
        ):
            return
    why = f"is hidden, or outside the folders that files may be read from here: {', '.join(roots)}"
    cure = f'Allow more: export PYGENT_READ_FROM="{",".join([*roots, str(path.parent)])}"'
    raise NotAllowed(f'"{path}"', why, cure)
