"""Serve A2A agents elsewhere over MCP.

`PYGENT_REMOTE_AGENTS='{"name": {"card": "https://…"}}'` says which.
"""

import sys

from pygent_shared.serve import serve

if __name__ == "__main__":
    sys.exit(serve("pygent_a2a.remote.server:build_server"))
