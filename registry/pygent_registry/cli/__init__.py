"""The command `pygent`: a table of commands, each a small module that is imported when it is asked for.

A command's module holds `EXAMPLE` (one line for the end of its help), `configure(parser)` and
`run(chosen) -> int`. The one rule: nothing heavy (the MCP SDK, pydantic, anyio) is imported before `run`, so
help and usage errors come at once.

Exit codes: 0 it worked, 1 something failed, 2 the caller can mend it; 130 after Ctrl-C, as shells have it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from pygent_registry.cli.parser import Parser, UsageInvalid
from pygent_shared.errors import PygentError, UnknownName, did_you_mean, ours

# name -> (its help line, the module of this package that runs it). A module is an attribute here once it is
# imported, so none is called like a builtin.
COMMANDS = {
    "demo": ("Show what it does, with real calls on documents, or on a repository of code.", "demo"),
    "ask": ("Answer a question from the documents in a folder, with citations.", "ask"),
    "up": ("Serve every server of the config over HTTP, behind one endpoint.", "up"),
    "serve": ("Serve all servers, or one, to a host: over stdio, or HTTP.", "serve"),
    "worker": ("Carry workflows out from the shared queue, and serve nobody.", "worker"),
    "list": ("Show the servers, their state and their tools.", "listing"),
    "call": ("Call a tool and print its result.", "call"),
    "logs": ("Show what a server wrote to stderr, while pygent up runs.", "logs"),
    "top": ("Watch the servers and their calls, while pygent up runs.", "top"),
    "doctor": ("Check this installation and start every server; say what to mend.", "doctor"),
    "keys": ("Make, show and revoke API keys for callers over HTTP.", "keys"),
    "audit": ("Show what was called, or verify that the record of it is whole.", "audit"),
    "add": ("Add a server to the config, and start it once to prove it.", "add"),
    "remove": ("Take a server out of the config.", "remove"),
    "enable": ("Use a server of the config again, or try again at once what failed.", "enable"),
    "disable": ("Leave a server of the config out, and keep its entry.", "disable"),
    "import": ("Add the servers of claude, cursor, vscode, a config file or a server.json.", "importing"),
    "approve": ("Show what a server changed since it was approved, and approve it.", "approve"),
    "install": ("Enter pygent into a host: claude, claude-code, cursor or vscode.", "install"),
}
_OPTIONS = ("--help", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own by default) and return the exit code."""
    code = 0
    try:
        code = _piped(list(sys.argv[1:] if argv is None else argv))
    except* PygentError as errors:
        for error in ours(errors):
            print(error, file=sys.stderr)
            code = max(code, error.exit_code)
    except* KeyboardInterrupt:
        code = 130
    return code


def _piped(words: list[str]) -> int:
    """Run the words; whoever stops reading stdout has seen enough."""
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(words: list[str]) -> int:
    match words:
        case [] | ["-h" | "--help" | "help"]:
            print(_overview())
            return 0
        case ["--version"]:
            from importlib.metadata import version

            print(f"pygent-factory {version('pygent-factory')}")
            return 0
        case ["help", name, *_]:
            return _run(name, ["--help"])
        case [name, *rest]:
            return _run(name, rest)
    raise AssertionError("unreachable")


def _run(name: str, words: list[str]) -> int:
    if name.startswith("-"):
        raise UsageInvalid("pygent", f'there is no option "{name}".{did_you_mean(name, _OPTIONS)}')
    if name not in COMMANDS:
        raise UnknownName("command", name, COMMANDS, "See: pygent --help")
    line, module = COMMANDS[name]
    command = import_module(f"{__name__}.{module}")
    parser = Parser(prog=f"pygent {name}", description=line)
    command.configure(parser)
    parser.epilog = "\n".join(filter(None, [parser.epilog, f"example: {command.EXAMPLE}"]))
    try:
        chosen = parser.parse(words)
    except SystemExit:  # argparse, after it has printed the help
        return 0
    code: int = command.run(chosen)
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {line}" for name, (line, _) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pygent COMMAND …",
            "",
            "One MCP endpoint over memory, cited documents and every other MCP server you use.",
            "",
            "commands:",
            *lines,
            "",
            "Help on one: pygent COMMAND --help    Version: pygent --version",
        ]
    )
