"""What can be named to be read in besides a file and a folder: patterns, pages, texts; and what may not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest
from mcp.types import TextResourceContents
from office_files import docx, pptx, xlsx

from pygent_rag.ingest import unwatched
from pygent_rag.items import page_suffix
from pygent_rag.library import Library, open_library
from pygent_rag.schema import MIGRATIONS
from pygent_rag.sources import given, named
from pygent_rag.store_sqlite import SqliteStore
from pygent_shared.database import Database
from pygent_shared.errors import FileRefused, InvalidArgument, NotAllowed
from pygent_shared.settings import Settings
from pygent_shared.testing import Connect, call, in_memory, refusal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    for name in ("a.md", "b.txt", "deep/c.md", "deep/er/d.md", "deep/er/e1.py", ".hidden/f.md"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(f"# {name}\n\nAbout the tide.\n")
    return made


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    opened = open_library(settings)
    yield opened
    opened.close()


def outcomes(library: Library, path: str) -> dict[str, str]:
    return {Path(report.path).name: report.outcome for report in library.ingest("notes", path, unwatched)}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.md", {"a.md"}),
        ("**/*.md", {"a.md", "c.md", "d.md"}),
        ("*/c.m?", {"c.md"}),
        ("deep/**/[de]*", {"d.md", "e1.py"}),
        ("deep/**", {"c.md", "d.md", "e1.py"}),
        ("**/[!a-d]*", {"e1.py"}),
        ("*.pdf", set()),
    ],
)
def test_a_pattern_reads_the_files_that_match_it(
    library: Library, folder: Path, pattern: str, names: set[str]
) -> None:
    assert outcomes(library, f"{folder}/{pattern}") == dict.fromkeys(names, "added")


def test_every_format_is_found_and_cited_where_it_stands(library: Library, tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "source": "# N"}, {"cell_type": "code", "source": "weir_notebook = 1"}]
    files = {
        "a.docx": (docx((1, "Head"), "The weir of word."), ":3"),
        "b.pptx": (pptx(("One", ["x"]), ("Two", ["The weir of slides."])), "#slide=2"),
        "c.xlsx": (xlsx({"Tide log": [["Code"], [], ["The weir of rows"]]}), "#'Tide log'!A1"),
        "d.ipynb": (json.dumps({"cells": cells}).encode(), "#cell=2"),
        "e.csv": (b"code,place\n1,the weir of values\n", ":1"),
        "f.json": (b'{"k": "the weir of members"}', ":1"),
        "g.rst": (b"Head\n====\n\nThe weir of titles.\n", ":4"),
        "h.go": (b"package p\n\nfunc weir_of_code() {}\n", ":3"),
    }
    (tmp_path / "docs").mkdir()
    for name, (data, _) in files.items():
        (tmp_path / "docs" / name).write_bytes(data)
    assert set(outcomes(library, str(tmp_path / "docs")).values()) == {"added"}
    found = library.search("weir", "", 20, 5000, 0).passages
    cited = {Path(passage.path).name: passage.citation for passage, _ in found}
    assert cited == {name: f"{tmp_path}/docs/{name}{place}" for name, (_, place) in files.items()}


def test_documents_stored_by_the_first_schema_are_kept(settings: Settings) -> None:
    settings.data_dir.mkdir()
    old = Database(settings.data_dir / "rag.db", MIGRATIONS[:1])
    with old.write() as connection:
        connection.execute("INSERT INTO collection (name) VALUES ('notes')")
        connection.execute(
            "INSERT INTO document (collection, path, title, unit, verbatim, text, size, mtime_ns, sha256, "
            "recipe, ingested) VALUES (1, '/a.pdf', 'A', 'page', 0, 'Weir one. Weir two.', 1, 1, 'x', 1, '')"
        )
        for start, text in ((0, "Weir one."), (10, "Weir two.")):
            connection.execute(
                "INSERT INTO chunk (document, collection, char_start, char_end, first, last, title, heading, "
                "text) VALUES (1, 1, ?, ?, 7, 7, 'A', '', ?)",
                (start, start + len(text), text),
            )
    old.close()
    library = open_library(settings)
    assert isinstance(library.store, SqliteStore)
    assert library.store.database.check() == []
    assert library.store.database.query("SELECT position, part FROM chunk ORDER BY id") == [(0, ""), (1, "")]
    ((passage, _),) = library.search("weir", "", 5, 500, 0).passages
    assert (passage.citation, passage.text) == ("/a.pdf#page=7", "Weir one. Weir two.")
    library.close()


def test_documents_stored_before_names_had_parts_are_found_by_them(settings: Settings) -> None:
    settings.data_dir.mkdir()
    old = Database(settings.data_dir / "rag.db", MIGRATIONS[:5])
    with old.write() as connection:
        connection.execute("INSERT INTO collection (name) VALUES ('notes')")
        connection.execute(
            "INSERT INTO document (collection, path, title, unit, verbatim, text, size, mtime_ns, sha256, "
            "recipe, ingested) VALUES (1, '/a.md', 'A', 'line', 1, 'Call getUserName.', 1, 1, 'x', 1, '')"
        )
        connection.execute(
            "INSERT INTO chunk (document, collection, char_start, char_end, first, last, title, heading, "
            "text) VALUES (1, 1, 0, 17, 1, 1, 'A', '', 'Call getUserName.')"
        )
    old.close()
    library = open_library(settings)
    ((passage, _),) = library.search("user", "", 5, 500, 0).passages
    assert passage.text == "Call getUserName."
    library.close()


def test_a_pattern_takes_out_only_what_it_covers(library: Library, folder: Path) -> None:
    outcomes(library, str(folder))
    (folder / "a.md").unlink()
    (folder / "b.txt").unlink()
    assert outcomes(library, f"{folder}/*.md") == {"a.md": "removed"}
    assert outcomes(library, str(folder))["b.txt"] == "removed"


def test_a_file_whose_name_has_wildcards_is_that_file(library: Library, folder: Path) -> None:
    (folder / "[a].md").write_text("Brackets.\n")
    assert outcomes(library, f"{folder}/[a].md") == {"[a].md": "added"}
    with pytest.raises(FileRefused, match="is no folder"):
        named(f"{folder}/nowhere/*.md")


def test_files_are_read_only_from_the_roots_and_no_hidden_ones(settings: Settings, folder: Path) -> None:
    library = open_library(replace(settings, read_from=(f"{folder}/deep", "~/nowhere")))
    assert set(outcomes(library, f"{folder}/deep")) == {"c.md", "d.md", "e1.py"}
    (folder / "deep" / "out").symlink_to(folder / "a.md")
    (folder / "deep" / ".secret.md").write_text("secret")
    for path in ("a.md", "*.md", "deep/out", "deep/../a.md", "deep/.secret.md", ""):
        with pytest.raises(NotAllowed, match=r"is hidden, or outside the folders .* PYGENT_READ_FROM="):
            outcomes(library, f"{folder}/{path}")
    library.close()


def test_over_http_only_the_home_folder_is_read_unless_more_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ida")
    assert Settings().read_from == ()
    assert Settings().over_http().read_from == ("/home/ida",)
    assert Settings(read_from=("/srv",)).over_http().read_from == ("/srv",)


def test_a_given_text_is_known_by_its_title(library: Library) -> None:
    def put(text: str) -> str:
        (report,) = library.ingest("notes", given(text, "Minutes of May"), unwatched)
        return report.outcome

    assert put("# Tides\n\nThe weir was mended.") == "added"
    assert put("# Tides\n\nThe weir was mended.") == "unchanged"
    assert put("# Tides\n\nThe weir was painted.") == "updated"
    ((passage, _),) = library.search("weir", "", 5, 500, 0).passages
    assert (passage.citation, passage.title) == ("text:Minutes of May:3", "Minutes of May")
    assert library.delete("notes", "text:Minutes of May", dry_run=False).paths == ("text:Minutes of May",)
    with pytest.raises(InvalidArgument, match="title: is empty"):
        given("words", " \u200b")


@pytest.mark.parametrize(
    ("media_type", "url", "suffix"),
    [
        ("text/html", "https://a.example/x.md", ".html"),
        ("text/plain", "https://a.example/x.rst", ".rst"),
        ("text/plain", "https://a.example/x", ".txt"),
        ("", "https://a.example/x.PDF?y=1", ".pdf"),
        ("application/octet-stream", "https://a.example/x.docx", ".docx"),
        ("application/pdf", "https://a.example/download", ".pdf"),
        ("application/json", "https://a.example/n.ipynb", ".ipynb"),
        ("image/png", "https://a.example/x.md", ""),
        ("", "https://a.example/", ""),
    ],
)
def test_what_a_page_says_it_is_decides_how_it_is_read(media_type: str, url: str, suffix: str) -> None:
    assert page_suffix(media_type, url) == suffix


class Site(BaseHTTPRequestHandler):
    pages: dict[str, tuple[str, bytes]]

    def do_GET(self) -> None:
        kind, body = self.pages[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            while self.path == "/endless":
                self.wfile.write(b".")
                time.sleep(0.02)
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, tuple[str, bytes]]]]:
    pages = {
        "/tides?of=may": ("text/html; charset=utf-8", "<title>Tides</title><p>The weir was möndéd.".encode()),
        "/old": ("text/html; charset=koi8-r", "<p>вода".encode("koi8-r")),
        "/notes.md": ("text/plain", b"# Notes\n\nGulls.\n"),
        "/picture": ("image/png", b"PNG"),
        "/endless": ("text/plain", b""),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ThisSite", (Site,), {"pages": pages}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    server.server_close()


@pytest.mark.anyio
async def test_a_page_is_read_cited_listed_and_taken_out(
    connect: Connect, settings: Settings, site: tuple[str, dict[str, tuple[str, bytes]]]
) -> None:
    url, pages = site
    page = f"{url}/tides?of=may"
    async with connect("pygent_rag", settings=replace(settings, private_urls="allow")) as client:
        report, _ = await call(client, "ingest", path=f"{page}#top")
        assert report["added"] == 1
        found, _ = await call(client, "search", question="weir")
        assert (found["passages"][0]["citation"], found["passages"][0]["title"]) == (f"{page}:1", "Tides")
        read = await client.read_resource(found["passages"][0]["resource"])
        assert isinstance(read.contents[0], TextResourceContents)
        assert read.contents[0].text.strip() == "The weir was möndéd."

        assert (await call(client, "ingest", path=page))[0]["unchanged"] == 1
        pages["/tides?of=may"] = ("text/html", b"<p>The weir was painted.")
        assert (await call(client, "ingest", path=page))[0]["updated"] == 1
        assert (await call(client, "ingest", path=f"{url}/notes.md"))[0]["added"] == 1
        assert (await call(client, "ingest", path=f"{url}/old"))[0]["added"] == 1
        assert (await call(client, "search", question="вода"))[0]["passages"]
        assert "is image/png, which is not read" in await refusal(client, "ingest", path=f"{url}/picture")

        assert (await call(client, "ingest", text="Gulls.", title="Birds"))[0]["added"] == 1
        assert "title: is empty" in await refusal(client, "ingest", text="Gulls.")
        assert "together with a path" in await refusal(client, "ingest", text="x", title="y", path="z")
        assert "path: is empty" in await refusal(client, "ingest")
        rows = (await call(client, "list_documents"))[0]["documents"]
        assert {row["path"] for row in rows} == {page, f"{url}/notes.md", f"{url}/old", "text:Birds"}
        for row in rows:
            assert (await client.read_resource(row["resource"])).contents
            assert (await call(client, "delete", collection="default", path=row["path"]))[0]["documents"] == 1


@pytest.mark.anyio
async def test_a_page_on_this_machine_is_refused_unless_it_is_allowed(
    settings: Settings, site: tuple[str, dict[str, tuple[str, bytes]]]
) -> None:
    async with in_memory("pygent_rag", settings) as client:
        why = await refusal(client, "ingest", path=f"{site[0]}/notes.md")
        assert "is at 127.0.0.1, which is not an address of the open Internet" in why
        assert "export PYGENT_PRIVATE_URLS=allow" in why


@pytest.mark.anyio
async def test_a_cancelled_call_ends_the_fetching(
    settings: Settings, site: tuple[str, dict[str, tuple[str, bytes]]]
) -> None:
    async with in_memory("pygent_rag", replace(settings, private_urls="allow")) as client:
        with anyio.move_on_after(0.5) as scope:
            await client.call_tool("ingest", {"path": f"{site[0]}/endless"})
        assert scope.cancelled_caught
        with anyio.fail_after(10):  # the server goes on serving, its worker free
            assert (await call(client, "ingest", path=f"{site[0]}/notes.md"))[0]["added"] == 1
