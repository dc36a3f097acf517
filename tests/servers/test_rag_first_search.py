"""The first search of a process: by meaning at once, without the libraries that take seconds to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pygent_rag.ingest import unwatched
from pygent_rag.library import open_library
from pygent_shared.embeddings import engine_for
from pygent_shared.embeddings.background import FEW, PAYS
from pygent_shared.settings import Settings

pytestmark = pytest.mark.skipif(
    engine_for(Settings()) != "numpy", reason="needs the extra: pip install 'pygent-factory[embeddings]'"
)

CHILD = """
import subprocess, sys
from pathlib import Path
from pygent_rag.library import open_library
from pygent_shared.embeddings import background, onnx
from pygent_shared.settings import Settings

begun = []
def refused(command, **how):
    begun.append(command[2])
    raise RuntimeError("not in a test")
onnx.subprocess.run = refused
background.PAYS = int(sys.argv[2])
library = open_library(Settings(data_dir=Path(sys.argv[1])))
found = library.search("Where does the tide gauge stand?", "", 5, 2000, 30)
settled = library.settle(60)
heavy = {"torch", "transformers", "sentence_transformers", "onnx"} & set(sys.modules)
print(found.retrieval, settled, sorted(heavy), begun)
library.close()
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A data folder whose passages have no vectors yet."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(FEW + 10):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\nThe tide gauge stands at mark {number}.\n")
    library = open_library(Settings(data_dir=tmp_path / "data", embedder="none"))
    assert {report.outcome for report in library.ingest("notes", str(folder), unwatched)} == {"added"}
    library.close()
    return tmp_path / "data"


@pytest.mark.parametrize(("pays", "begun"), [(PAYS, []), (FEW + 1, ["pygent_shared.embeddings.onnx_export"])])
def test_the_first_search_imports_no_torch_also_while_vectors_are_made(
    waiting: Path, pays: int, begun: list[str]
) -> None:
    command = [sys.executable, "-c", CHILD, str(waiting), str(pays)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == f"hybrid True [] {begun}", done.stderr
