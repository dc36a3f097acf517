"""`pygent demo`: the main job, on real documents, in a temporary folder. Every line it prints is a real call.

It starts `pygent serve` as a host would, as a child process over stdio, twice; everything goes through that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.terminal import Progress
from pygent_shared.errors import ServerUnavailable
from pygent_shared.shipped import shipped

if TYPE_CHECKING:
    from mcp import Client

EXAMPLE = "pygent demo"
# The model loads once, in the background; on a slow machine that takes its time.
WAIT_SECONDS = 120


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        metavar="FOLDER",
        help="Keep what the demo stores in this folder, instead of a temporary one.",
    )


def run(chosen: Namespace) -> int:
    import anyio

    if chosen.keep:
        folder = Path(chosen.keep).expanduser().resolve()
        folder.mkdir(parents=True, exist_ok=True)
        anyio.run(Demo(folder).play)
        return 0
    with tempfile.TemporaryDirectory(prefix="pygent-demo-") as temporary:
        anyio.run(Demo(Path(temporary)).play)
    return 0


class Demo:
    """The demo's story, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._corpus = shipped("demo")
        self._asked = json.loads(shipped("demo-questions.json").read_text(encoding="utf-8"))

    async def play(self) -> None:
        """Print the whole story."""
        began = time.monotonic()
        async with self._host("a first process") as client:
            await self._read_in(client)
            await self._answer_from_two_notes(client)
            await self._find_by_meaning(client)
            await self._remember(client)
        async with self._host("a second process") as client:
            await self._recall(client)
            await self._survive_a_crash(client)
        print(
            f"\nDone in {time.monotonic() - began:.1f} s. Nothing left this machine; no key was used. Next:"
        )
        print("  pygent install claude              give Claude Desktop all of this (or: cursor, vscode)")
        print('  pygent ask FOLDER "question"       ask your own documents')
        print("  pygent doctor                      check this machine and every server")

    @asynccontextmanager
    async def _host(self, which: str) -> AsyncIterator[Client]:
        """`pygent serve` started and spoken to as any host does it."""
        from mcp import Client, MCPError

        from pygent_registry.output import Output
        from pygent_registry.process import child
        from pygent_registry.reaper import Reaper

        output, reaper = Output(), Reaper()
        command = ("-m", "pygent_registry.cli", "serve", "--config", str(self._config()))
        environment = {"PYGENT_DATA_DIR": str(self._folder / "data"), **_passed_on()}
        began = time.monotonic()
        transport = child(sys.executable, command, env=environment, cwd=None, output=output, reaper=reaper)
        try:
            async with Client(transport, mode="auto", read_timeout_seconds=WAIT_SECONDS) as client:
                tools = await client.list_tools()
                servers = (await _servers(client)).items()
                names = ", ".join(f"{name} ({_where(server)})" for name, server in servers)
                title = f"Started `pygent serve` in {which}: {len(tools.tools)} tools of {names}"
                print(f"\n{title}  [{time.monotonic() - began:.1f} s]")
                yield client
        except* MCPError as errors:
            why = output.last_words() or f"failed: {errors.exceptions[0]}"
            raise ServerUnavailable("pygent serve", why) from errors
        finally:
            reaper.close()

    def _config(self) -> Path:
        """configs/pygent.json, with the memory server in a process of its own, so that it can be killed."""
        config = json.loads(shipped("pygent.json").read_text(encoding="utf-8"))
        config["mcpServers"]["memory"]["isolated"] = True
        path = self._folder / "pygent.json"
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        return path

    async def _read_in(self, client: Client) -> None:
        with Progress("reading") as progress:
            took, done = await _call(client, "rag__ingest", progress.report, path=str(self._corpus))
        passages = sum(file.get("chunks", 0) for file in done["files"])
        print(f"Read {done['added']} documents of configs/demo into {passages} passages  [{took:.1f} s]")

    async def _answer_from_two_notes(self, client: Client) -> None:
        question = self._asked["two_notes"]["question"]
        print(f"\nAsked: {question}")
        took, found = await _call(client, "rag__ask", question=question, wait_s=60)
        for quote in found["quotes"]:
            print(f"  “{_one_line(quote['text'])}”")
            print(f"      {_citation(quote['citation'])}")
        how = "by words and meaning" if found["retrieval"] == "hybrid" else f"by words only: {found['why']}"
        print(
            f"  (extractive: the documents' own sentences, no language model; searched {how})  [{took:.1f} s]"
        )

    async def _find_by_meaning(self, client: Client) -> None:
        query = self._asked["semantic"]["question"]
        took, found = await _call(client, "rag__search", question=query, limit=1, wait_s=60)
        print(f"\nAsked, in words that occur in no document: {query}")
        if found["passages"]:
            passage = found["passages"][0]
            where = f"{passage['title']}, {_citation(passage['citation'])}"
            print(f"  Found by its {_legs(passage)}: {where}  [{took:.1f} s]")
        else:
            print(f"  Found nothing, as a lexical search must: {found['why']}  [{took:.1f} s]")

    async def _remember(self, client: Client) -> None:
        text = self._asked["memory"]["text"]
        took, _ = await _call(client, "memory__memory_add", text=text)
        print(f"\nRemembered: {text}  [{took:.1f} s]")
        print("Ended that process.")

    async def _recall(self, client: Client) -> None:
        _, probe = await _call(
            client, "memory__memory_search", query=self._asked["memory"]["recall"], wait_s=60
        )
        semantic = probe["retrieval"] == "hybrid"
        query = self._asked["memory"]["semantic_recall" if semantic else "recall"]
        took, found = await _call(client, "memory__memory_search", query=query, limit=1)
        best = found["results"][0]
        print(f"Asked the memory: {query}")
        print(f"  Recalled by its {_legs(best)}: {best['text']}  [{took:.1f} s]")

    async def _survive_a_crash(self, client: Client) -> None:
        pid = (await _servers(client))["memory"]["pid"]
        os.kill(pid, signal.SIGKILL)
        print("\nKilled the memory server (kill -9).")
        question = self._asked["single"][0]["question"]
        took, found = await _call(client, "rag__ask", question=question, limit=1)
        print(f"  rag goes on: “{_one_line(found['quotes'][0]['text'])}”  [{took:.1f} s]")
        took, _ = await _call(client, "memory__memory_search", query="lunch")
        back = (await _servers(client))["memory"]["pid"]
        if back == pid:
            raise ServerUnavailable("memory", "answered under the process id that was killed")
        print(f"  memory is back, as another process, with what it knew  [{took:.1f} s]")


async def _call(
    client: Client, tool: str, progress: Any = None, **arguments: Any
) -> tuple[float, dict[str, Any]]:
    """A tool's structured result, and the seconds it took.

    Raises:
        ServerUnavailable: the tool failed.
    """
    began = time.monotonic()
    result = await client.call_tool(tool, arguments, progress_callback=progress)
    if result.is_error:
        raise ServerUnavailable(tool, f"failed: {getattr(result.content[0], 'text', '')}")
    structured: dict[str, Any] = result.structured_content or {}
    return time.monotonic() - began, structured


async def _servers(client: Client) -> dict[str, dict[str, Any]]:
    read = await client.read_resource("pygent://servers")
    servers: dict[str, dict[str, Any]] = json.loads(getattr(read.contents[0], "text", "{}"))["servers"]
    return servers


def _passed_on() -> dict[str, str]:
    """The settings a user has in the environment hold for the demo too, but for where things are stored."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("PYGENT_")}
    return {name: value for name, value in ours.items() if name not in ("PYGENT_DATA_DIR", "PYGENT_CONFIG")}


def _where(server: dict[str, Any]) -> str:
    return "in-process" if server["kind"] == "in-process" else "a process of its own"


def _citation(citation: str) -> str:
    """A citation without the folder, which is the corpus' and long."""
    return citation.rpartition("/")[2]


def _legs(hit: dict[str, Any]) -> str:
    words = {"semantic": "meaning", "lexical": "words"}
    return " and ".join(words[leg] for leg in hit["found_by"])


def _one_line(text: str) -> str:
    return " ".join(text.split())
