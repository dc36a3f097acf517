"""The servers people use, as data: `pygent add filesystem ~/notes`.

The one rule: no secret is ever a value here. A server that needs one gets `${VARIABLE}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygent_shared.errors import InvalidArgument

# mcp 2 removed what these servers import, and they ask for no upper bound.
_BEFORE_MCP_2 = ("--with", "mcp<2")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One server.

    Args:
        line: what it does, in a sentence.
        command, args, env, url, headers: as in an entry of the config.
        takes: what the words after its name are, for messages; "" where it takes none.
        least, most: how many words it takes; None for any number.
        option: what stands before the words among the arguments.
        variable: the variable that takes the one word, instead of an argument.
        paths: whether the words are paths, which are written in full: it runs in another folder.
    """

    line: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    takes: str = ""
    least: int = 0
    most: int | None = 0
    option: tuple[str, ...] = ()
    variable: str = ""
    paths: bool = False


def _npx(package: str) -> dict[str, Any]:
    return {"command": "npx", "args": ("-y", package)}


def _uvx(*args: str) -> dict[str, Any]:
    return {"command": "uvx", "args": args}


PRESETS: dict[str, Preset] = {
    "filesystem": Preset(
        line="Read and change the files below the folders you name.",
        **_npx("@modelcontextprotocol/server-filesystem"),
        takes="FOLDER…",
        least=1,
        most=None,
        paths=True,
    ),
    "git": Preset(
        line="Read and change git repositories: one, or any.",
        **_uvx("mcp-server-git"),
        takes="[REPOSITORY]",
        most=1,
        option=("--repository",),
        paths=True,
    ),
    "github": Preset(
        line="Repositories, issues and pull requests on GitHub (GitHub's own server).",
        url="https://api.githubcopilot.com/mcp/",
        headers={"Authorization": "Bearer ${GITHUB_PERSONAL_ACCESS_TOKEN}"},
    ),
    "fetch": Preset(line="Fetch web pages as Markdown.", **_uvx("mcp-server-fetch")),
    "time": Preset(
        line="The time in any time zone.",
        **_uvx("mcp-server-time"),
        takes="[TIMEZONE]",
        most=1,
        option=("--local-timezone",),
    ),
    "sqlite": Preset(
        line="Query and change a SQLite database.",
        **_uvx(*_BEFORE_MCP_2, "mcp-server-sqlite"),
        takes="FILE",
        least=1,
        most=1,
        option=("--db-path",),
        paths=True,
    ),
    "postgres": Preset(
        line="Read a PostgreSQL database, and analyse its queries and indexes.",
        **_uvx(*_BEFORE_MCP_2, "postgres-mcp", "--access-mode=restricted"),
        env={"DATABASE_URI": "${DATABASE_URI}"},
    ),
    "sequential-thinking": Preset(
        line="Think in numbered steps that can be revised.",
        **_npx("@modelcontextprotocol/server-sequential-thinking"),
    ),
    "memory": Preset(
        line="The reference knowledge graph in a file (pygent's own memory is another server).",
        **_npx("@modelcontextprotocol/server-memory"),
        takes="[FILE]",
        most=1,
        variable="MEMORY_FILE_PATH",
        paths=True,
    ),
    "context7": Preset(
        line="Current documentation of libraries.",
        **_npx("@upstash/context7-mcp"),
    ),
    "playwright": Preset(
        line="Drive a browser; options of its own go after --.",
        **_npx("@playwright/mcp@latest"),
        takes="[-- OPTION…]",
        most=None,
    ),
    "brave-search": Preset(
        line="Search the web with Brave.",
        **_npx("@brave/brave-search-mcp-server"),
        env={"BRAVE_API_KEY": "${BRAVE_API_KEY}"},
    ),
}


def entry(name: str, words: Sequence[str]) -> dict[str, Any]:
    """The config entry of a preset with these words.

    Raises:
        InvalidArgument: there are too few words, or too many.
    """
    preset = PRESETS[name]
    usage = f"Type: pygent add {name} {preset.takes}".rstrip()
    if len(words) < preset.least:
        raise InvalidArgument(name, f"{preset.takes.rstrip('…')} is missing", usage)
    if preset.most is not None and len(words) > preset.most:
        raise InvalidArgument(name, f'"{words[preset.most]}" is one word too many', usage)
    if preset.paths:
        words = [str(Path(word).expanduser().absolute()) for word in words]
    if preset.url:
        return {"url": preset.url, **({"headers": dict(preset.headers)} if preset.headers else {})}
    env = dict(preset.env)
    args = [*preset.args]
    if preset.variable and words:
        env[preset.variable] = words[0]
    elif words:
        args += [*preset.option, *words]
    return {"command": preset.command, "args": args, **({"env": env} if env else {})}
