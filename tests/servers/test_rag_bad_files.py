"""Files that are broken, locked, hostile or no files at all: each costs only itself, within bounds."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from office_files import docx, packed, pptx, xlsx

from pygent_rag import reading
from pygent_rag.reader import SMALL, Reader
from pygent_shared.errors import FileRefused

BOUND = 1_000_000_000
"""Bytes that neither the server nor the process that reads may take."""

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000) + "EncryptedPackage".encode("utf-16-le") + bytes(2000)
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'

# Runs with a limit of memory of its own, and prints what each of its processes took at most.
INGEST = """
import json, os, re, resource, sys
from pathlib import Path
from pygent_rag.ingest import unwatched
from pygent_rag.library import open_library
from pygent_shared.settings import Settings

library = open_library(Settings(data_dir=Path(sys.argv[2]), embedder="none"))
reports = {Path(r.path).name: [r.outcome, r.why] for r in library.ingest("bad", sys.argv[1], unwatched)}
library.close()
# Of this process not ru_maxrss, which counts what the process that started it had.
status = Path("/proc/self/status")
mine = re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists() else 0
peaks = [int(mine) * 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]
print(json.dumps([reports, peaks]))
"""


def with_part(data: bytes, name: str, content: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return packed({part: archive.read(part) for part in archive.namelist()} | {name: content})


def laughing() -> str:
    entities = "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 20}">' for n in range(8))
    return (
        f'<!DOCTYPE x [<!ENTITY a "{"ha" * 20}">{entities}]>'
        f"<w:document {WORD}><w:body><w:p><w:r><w:t>&i;</w:t></w:r></w:p></w:body></w:document>"
    )


def sparse() -> str:
    cells = [(1, "A1"), (1048576, "XFD1048576")]
    rows = "".join(f'<row r="{row}"><c r="{place}"><v>1</v></c></row>' for row, place in cells)
    return f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Some 200 KB that unpack to 200 MB."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part in ("word/document.xml", "xl/workbook.xml", "ppt/presentation.xml"):
            with archive.open(part, "w") as file:
                for _ in range(70):
                    file.write(b" " * 1_000_000)
    return made.getvalue()


def test_a_folder_of_bad_files_is_read_within_bounds_and_each_is_named_with_its_reason(
    tmp_path: Path, bomb: bytes
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    files = {
        "good.md": b"# Good\n\nThe tide is in.\n",
        "cut.pdf": b"%PDF-1.7\n1 0 obj",
        "cut.docx": docx("words")[:600],
        "cut.xlsx": xlsx({"S": [["a"]]})[:300],
        "cut.pptx": pptx(("T", ["x"]))[:400],
        "locked.docx": OLE,
        "locked.xlsx": OLE,
        "bomb.docx": bomb,
        "bomb.xlsx": bomb,
        "bomb.pptx": bomb,
        "laughs.docx": with_part(docx("x"), "word/document.xml", laughing()),
        "sparse.xlsx": with_part(xlsx({"S": [["a"]]}), "xl/worksheets/s0.xml", sparse()),
        "deep.json": b'{"a":' * 200_000,
        "deep.ipynb": b'{"cells":' + b"[" * 400_000,
        "deep.pptx": with_part(pptx(("T", ["x"])), "ppt/slides/x1.xml", "<a>" * 300_000),
        "deep.py": b"(" * 300_000,
        "deep.js": b"function f(){" * 30_000,
        "tags.html": b"<p>Tags" + b"<div>" * 1_000_000,
        "blocks.md": b"A tide.\n\n" * 100_000,
        "mixed.txt": "Flut höher ".encode() * 30_000 + "Ebbe tiefer ä".encode("cp1252"),
        "binary.txt": b"\x7fELF\x02\x01\x01" + bytes(100),
        "empty.md": b"",
    }
    for name, data in files.items():
        (docs / name).write_bytes(data)
    with (docs / "huge.txt").open("wb") as file:
        file.truncate(300_000_000)
    os.mkfifo(docs / "pipe.md")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(docs / "socket.md"))
    (docs / "loop").symlink_to(docs)
    (docs / "self.txt").symlink_to("self.txt")

    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(docs), str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    reports, peaks = json.loads(done.stdout)
    assert max(peaks) < BOUND
    reasons = {
        "cut.pdf": "is not a whole PDF",
        "cut.docx": "is not a Word document that is whole",
        "cut.xlsx": "is not a spreadsheet that is whole",
        "cut.pptx": "is not a PowerPoint file that is whole",
        "locked.docx": "is a Word document locked with a password",
        "locked.xlsx": "is a spreadsheet locked with a password",
        "bomb.docx": "unpacks to 210 MB of markup",
        "bomb.xlsx": "unpacks to 210 MB of markup",
        "bomb.pptx": "unpacks to 210 MB of markup",
        "laughs.docx": "is not a Word document that is whole",
        "sparse.xlsx": "need more than 1000 MB of memory",
        "deep.ipynb": "is no notebook that can be read",
        "deep.pptx": "is not a PowerPoint file that is whole",
        "binary.txt": "holds NUL bytes",
        "empty.md": "has no text",
        "huge.txt": "has 300 MB; files up to 50 MB are read",
        "pipe.md": "is not a regular file",
        "socket.md": "is not a regular file",
        "loop": "is a link",
        "self.txt": "is a link",
    }
    notes = {
        "deep.json": "nested deeper than 10000 levels",
        "deep.py": "so it is cut as plain text",
        "deep.js": "cut as",
    }
    for name, why in reasons.items():
        assert reports[name][0] == "refused", name
        assert why in reports[name][1]
    for name, why in notes.items():
        assert reports[name][0] == "added", name
        assert why in reports[name][1]
    rest = {name: outcome for name, (outcome, _) in reports.items() if name not in reasons | notes}
    assert rest == dict.fromkeys(["good.md", "tags.html", "blocks.md", "mixed.txt"], "added")


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader(seconds=60)
    yield made
    made.rest()


def unpolled() -> None:
    pass


def slow() -> bytes:
    """A document that takes seconds: some 400,000 blocks, each under its heading."""
    return b"# Tide\n\nIt rose.\n\n" * 200_000


def test_a_crash_of_a_parser_costs_its_file_and_the_next_is_read(reader: Reader) -> None:
    with pytest.raises(FileRefused, match="made its parser crash, or need more than 1000 MB"):
        reader.read(
            Path("a.xlsx"), with_part(xlsx({"S": [["a"]]}), "xl/worksheets/s0.xml", sparse()), unpolled
        )
    assert reader.read(Path("a.docx"), docx("The tide is in."), unpolled).text.startswith("The tide is in.")


def test_a_file_that_takes_too_long_is_given_up(reader: Reader) -> None:
    hasty = Reader(seconds=0.5)
    began = time.monotonic()
    with pytest.raises(FileRefused, match=r"to be read\. Split it, or allow more: export"):
        hasty.read(Path("a.md"), slow(), unpolled)
    assert time.monotonic() - began < 5
    hasty.rest()


def test_reading_can_be_ended_in_the_middle_of_a_file(reader: Reader) -> None:
    polled = 0

    def poll() -> None:
        nonlocal polled
        polled += 1
        if polled == 3:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        reader.read(Path("a.md"), slow(), poll)
    assert time.monotonic() - began < 5
    assert reader.read(Path("a.docx"), docx("words"), unpolled).chunks


def test_what_is_read_in_its_own_process_is_what_is_read_here(reader: Reader) -> None:
    table = "\n".join(["| a | b |", "|---|---|", *(f"| {n} | Café „x“ |" for n in range(SMALL // 20))])
    data = f"# Tide\n\n{table}\n".encode()
    assert len(data) > SMALL
    assert reader.read(Path("a.md"), data, unpolled) == reading.read(Path("a.md"), data)


def test_a_parser_that_fails_is_named(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, data: bytes) -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr("pygent_rag.reading.parse", fails)
    with pytest.raises(FileRefused, match=r"made its parser fail .LookupError: no such thing"):
        reader.read(Path("a.md"), b"words", unpolled)
