"""The generated parts of the README and of docs/: the demos' transcripts, the tools, the settings.

python tests/readme.py           say which parts are out of date (exit code 1 if any)
python tests/readme.py --write   rewrite them
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
from mcp import Client

from pygent_registry.cli.terminal import first_sentence
from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_registry.transports import suite_servers
from pygent_shared.settings import Settings, rows

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
WORKFLOW = ROOT / "docs" / "demo-workflow.md"
_SECONDS = re.compile(r"\d+\.\d s")


def demo_transcript(*story: str) -> str:
    """What `pygent demo` prints on this machine, now."""
    command = " ".join(("pygent", "demo", *story))
    ran = subprocess.run(
        [sys.executable, "-m", "pygent_registry.cli", "demo", *story],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYGENT_")},
    )
    if ran.returncode:
        raise RuntimeError(f"{command} failed:\n{ran.stdout}{ran.stderr}")
    return f"```console\n$ {command}\n{ran.stdout.strip()}\n```"


def workflow_transcript() -> str:
    """What `pygent demo workflow` prints on this machine, now."""
    return demo_transcript("workflow")


def without_times(text: str) -> str:
    """A transcript in which every duration reads alike."""
    return _SECONDS.sub("… s", text)


def tools_table() -> str:
    """Every installed server of the suite and its tools, by what they say of themselves."""
    return anyio.run(_tools_table)


async def _tools_table() -> str:
    servers = {name: {"server": name} for name in sorted(suite_servers())}
    registry = Registry(parse({"mcpServers": servers}), Settings(embedder="none"))
    lines = ["| server | tool | what it is for |", "| --- | --- | --- |"]
    async with Client(Gateway(registry)) as client:
        for tool in (await client.list_tools()).tools:
            server, _, name = tool.name.partition("__")
            lines.append(f"| {server} | `{name}` | {first_sentence(tool.description)} |")
    return "\n".join(lines)


def settings_table() -> str:
    """Every setting: its variable, its default, its sentence."""
    lines = ["| variable | default | what it sets |", "| --- | --- | --- |"]
    for row in rows():
        default = "the user's data folder" if row.name == "data_dir" else _shown(row.default)
        lines.append(f"| `{row.variable}` | {default} | {row.help} |")
    return "\n".join(lines)


def _shown(default: object) -> str:
    return f"`{default}`" if default not in ("", ()) else ""


PARTS: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"demo": demo_transcript, "tools": tools_table, "settings": settings_table},
    WORKFLOW: {"demo": workflow_transcript},
}


def part(text: str, name: str) -> str:
    """What stands between a part's marks."""
    return text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"\n<!-- {name}:end -->")[0]


def with_part(text: str, name: str, content: str) -> str:
    """The text with a part replaced."""
    before, begin, rest = text.partition(f"<!-- {name}:begin -->\n")
    _, end, after = rest.partition(f"<!-- {name}:end -->")
    return f"{before}{begin}{content}\n{end}{after}"


def main() -> int:
    stale = []
    for path, parts in PARTS.items():
        text = path.read_text(encoding="utf-8")
        for name, generate in parts.items():
            content = generate()
            if without_times(part(text, name)) != without_times(content):
                stale.append(f"{name} of {path.name}")
                text = with_part(text, name, content)
        if "--write" in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
    print(f"out of date: {', '.join(stale)}" if stale else "up to date")
    return 1 if stale and "--write" not in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
