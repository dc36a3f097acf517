"""`pygent-registry`: the registry alone, over stdio or HTTP."""

import sys

from pygent_shared.serve import serve


def main() -> int:
    return serve("pygent_registry.server:build_server")


if __name__ == "__main__":
    sys.exit(main())
