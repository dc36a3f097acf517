"""`python -m pygent_factory`, and the script `pygent-factory-server`."""

import sys

from pygent_shared.serve import serve


def main() -> int:
    """Serve until told to end; returns the exit code."""
    return serve("pygent_factory.server:build_server")


if __name__ == "__main__":
    sys.exit(main())
