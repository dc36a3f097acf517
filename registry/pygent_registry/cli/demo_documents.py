"""The demo of documents and memory: the main job, on real documents, before and after a crash."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygent_registry.cli.demo_host import call, host, servers
from pygent_registry.cli.terminal import Progress
from pygent_shared.errors import ServerUnavailable
from pygent_shared.shipped import shipped

if TYPE_CHECKING:
    from mcp import Client


class Documents:
    """The story, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._corpus = shipped("demo")
        self._asked = json.loads(shipped("demo-questions.json").read_text(encoding="utf-8"))

    async def play(self) -> None:
        """Print the whole story."""
        began = time.monotonic()
        async with host("a first process", self._config(), self._folder) as client:
            await self._read_in(client)
            await self._answer_from_two_notes(client)
            await self._find_by_meaning(client)
            await self._remember(client)
        async with host("a second process", self._config(), self._folder) as client:
            await self._recall(client)
            await self._survive_a_crash(client)
        print(
            f"\nDone in {time.monotonic() - began:.1f} s. Nothing left this machine; no key was used. Next:"
        )
        print("  pygent install claude              give Claude Desktop all of this (or: cursor, vscode)")
        print('  pygent ask FOLDER "question"       ask your own documents')
        print("  pygent doctor                      check this machine and every server")

    def _config(self) -> dict[str, Any]:
        """configs/pygent.json, with the memory server in a process of its own, so that it can be killed."""
        config: dict[str, Any] = json.loads(shipped("pygent.json").read_text(encoding="utf-8"))
        config["mcpServers"]["memory"]["isolated"] = True
        return config

    async def _read_in(self, client: Client) -> None:
        with Progress("reading") as progress:
            took, done = await call(client, "rag__ingest", progress.report, path=str(self._corpus))
        passages = sum(file.get("chunks", 0) for file in done["files"])
        print(f"Read {done['added']} documents of configs/demo into {passages} passages  [{took:.1f} s]")

    async def _answer_from_two_notes(self, client: Client) -> None:
        question = self._asked["two_notes"]["question"]
        print(f"\nAsked: {question}")
        took, found = await call(client, "rag__ask", question=question, wait_s=60)
        for quote in found["quotes"]:
            print(f"  “{_one_line(quote['text'])}”")
            print(f"      {_citation(quote['citation'])}")
        how = "by words and meaning" if found["retrieval"] == "hybrid" else f"by words only: {found['why']}"
        print(
            f"  (extractive: the documents' own sentences, no language model; searched {how})  [{took:.1f} s]"
        )

    async def _find_by_meaning(self, client: Client) -> None:
        query = self._asked["semantic"]["question"]
        took, found = await call(client, "rag__search", question=query, limit=1, wait_s=60)
        print(f"\nAsked, in words that occur in no document: {query}")
        if found["passages"]:
            passage = found["passages"][0]
            where = f"{passage['title']}, {_citation(passage['citation'])}"
            print(f"  Found by its {_legs(passage)}: {where}  [{took:.1f} s]")
        else:
            print(f"  Found nothing, as a lexical search must: {found['why']}  [{took:.1f} s]")

    async def _remember(self, client: Client) -> None:
        text = self._asked["memory"]["text"]
        took, _ = await call(client, "memory__memory_add", text=text)
        print(f"\nRemembered: {text}  [{took:.1f} s]")
        print("Ended that process.")

    async def _recall(self, client: Client) -> None:
        _, probe = await call(
            client, "memory__memory_search", query=self._asked["memory"]["recall"], wait_s=60
        )
        semantic = probe["retrieval"] == "hybrid"
        query = self._asked["memory"]["semantic_recall" if semantic else "recall"]
        took, found = await call(client, "memory__memory_search", query=query, limit=1)
        best = found["results"][0]
        print(f"Asked the memory: {query}")
        print(f"  Recalled by its {_legs(best)}: {best['text']}  [{took:.1f} s]")

    async def _survive_a_crash(self, client: Client) -> None:
        pid = (await servers(client))["memory"]["pid"]
        os.kill(pid, signal.SIGKILL)
        print("\nKilled the memory server (kill -9).")
        question = self._asked["single"][0]["question"]
        took, found = await call(client, "rag__ask", question=question, limit=1)
        print(f"  rag goes on: “{_one_line(found['quotes'][0]['text'])}”  [{took:.1f} s]")
        took, _ = await call(client, "memory__memory_search", query="lunch")
        back = (await servers(client))["memory"]["pid"]
        if back == pid:
            raise ServerUnavailable("memory", "answered under the process id that was killed")
        print(f"  memory is back, as another process, with what it knew  [{took:.1f} s]")


def _citation(citation: str) -> str:
    """A citation without the folder, which is the corpus' and long."""
    return citation.rpartition("/")[2]


def _legs(hit: dict[str, Any]) -> str:
    words = {"semantic": "meaning", "lexical": "words"}
    return " and ".join(words[leg] for leg in hit["found_by"])


def _one_line(text: str) -> str:
    return " ".join(text.split())
