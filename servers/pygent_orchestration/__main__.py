"""`python -m pygent_orchestration`, and the script `pygent-orchestration`."""

import sys

from pygent_shared.serve import serve


def main() -> int:
    """Serve until told to end; returns the exit code."""
    return serve("pygent_orchestration.server:build_server")


if __name__ == "__main__":
    sys.exit(main())
