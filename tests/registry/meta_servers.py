"""Small stdio servers that tell what was sent beside the arguments: `python meta_servers.py ERA`."""

from __future__ import annotations

import json
import sys
from typing import Any

from stdio_servers import Legacy, Modern, send, text


class Telling(Legacy):
    """Its tool `meta` says which `_meta` it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.tools = [*self.tools, {"name": "meta", "inputSchema": {"type": "object"}}]

    def call(self, number: Any, params: dict[str, Any]) -> None:
        if params["name"] == "meta":
            send({"id": number, "result": text(json.dumps(params.get("_meta")))})
        else:
            super().call(number, params)


class ModernTelling(Telling, Modern):
    """The same, in the 2026 era only."""


if __name__ == "__main__":
    {"legacy": Telling, "modern": ModernTelling}[sys.argv[1]]().serve()
