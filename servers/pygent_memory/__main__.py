"""`python -m pygent_memory`, and the script `pygent-memory`: the server, and commands that need no host."""

import sys
from collections.abc import Sequence

from pygent_shared.serve import serve

COMMANDS = ("export", "import", "backup", "restore", "verify", "status")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to end, or run a command; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words and not words[0].startswith("-"):
        from pygent_memory import commands

        return commands.main(words)
    more = f"Without serving: {', '.join(COMMANDS)}. Help on one: pygent-memory COMMAND --help"
    return serve("pygent_memory.server:build_server", words, epilog=more)


if __name__ == "__main__":
    sys.exit(main())
