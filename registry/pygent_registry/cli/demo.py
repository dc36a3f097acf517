"""`pygent demo`: what it does, shown in a temporary folder. Every line it prints is a real call.

A demo starts `pygent serve` as a host would, as a child process over stdio, twice; all goes through that.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pygent_registry.cli.parser import one_of

EXAMPLE = "pygent demo workflow"
DOCUMENTS, WORKFLOW = "documents", "workflow"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "story",
        nargs="?",
        default=DOCUMENTS,
        type=one_of("demo", (DOCUMENTS, WORKFLOW)),
        metavar="|".join((DOCUMENTS, WORKFLOW)),
        help=f"{DOCUMENTS}, where nothing is said: they are read, asked about, and remembered; {WORKFLOW}: "
        "code is planned, written, tested, agreed to and merged, by agents whose models are scripts.",
    )
    parser.add_argument(
        "--keep",
        metavar="FOLDER",
        help="Keep what the demo stores in this folder, instead of a temporary one.",
    )


def run(chosen: Namespace) -> int:
    if chosen.keep:
        folder = Path(chosen.keep).expanduser().resolve()
        folder.mkdir(parents=True, exist_ok=True)
        _play(chosen.story, folder)
        return 0
    with tempfile.TemporaryDirectory(prefix="pygent-demo-") as temporary:
        _play(chosen.story, Path(temporary))
    return 0


def _play(story: str, folder: Path) -> None:
    import anyio

    if story == WORKFLOW:
        from pygent_registry.cli.demo_workflow import Workflow

        anyio.run(Workflow(folder).play)
    else:
        from pygent_registry.cli.demo_documents import Documents

        anyio.run(Documents(folder).play)
