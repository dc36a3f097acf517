"""The machine a host is installed on, as far as it decides where the host keeps its config."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`platform` is spelled as `sys.platform` spells it: darwin, win32, and everything else is like linux."""

    home: Path
    platform: str
    environ: Mapping[str, str]

    @classmethod
    def here(cls) -> Machine:
        """The machine this program runs on."""
        return cls(home=Path.home(), platform=sys.platform, environ=os.environ)

    @property
    def app_data(self) -> Path:
        """The folder under which desktop apps (Electron's `appData`) keep the user's config."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return self.folder("APPDATA") or self.home / "AppData" / "Roaming"
        return self.folder("XDG_CONFIG_HOME") or self.home / ".config"

    def folder(self, variable: str) -> Path | None:
        """The folder an environment variable names, if it is set."""
        value = self.environ.get(variable)
        return Path(value) if value else None
