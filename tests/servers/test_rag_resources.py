"""The addresses of documents and sections: what a hit links to opens as all of its section."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.shared.uri_template import UriTemplate
from mcp.types import TextResourceContents
from office_files import xlsx

from pygent_rag.ingest import unwatched
from pygent_rag.library import open_library
from pygent_rag.passage import Passage
from pygent_rag.place import Place, places
from pygent_rag.resources import LAST, section
from pygent_rag.sources import given as given_text
from pygent_rag.uris import TEMPLATE, document_uri, meant, section_uri
from pygent_shared.settings import Settings
from pygent_shared.testing import Connect, call

RAG = "pygent_rag"
LONG = "\n".join(f"At gauge {number} the tide rose by {number} centimetres." for number in range(120))
NOTES = f"""# Tides

## Gull Rock

{LONG}

The lamp was mended by Idris.

### Wages

Forty pounds a night.

## North Quay

A quiet year.
"""


async def opened(client: Client, uri: str) -> str:
    (read,) = (await client.read_resource(uri)).contents
    assert isinstance(read, TextResourceContents)
    return read.text


@pytest.mark.anyio
async def test_what_a_hit_links_to_is_all_of_its_section_with_the_headings_above_it(
    connect: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "tide notes?.md"
    file.write_text(NOTES)
    async with connect(RAG) as client:
        await call(client, "ingest", path=str(file))
        found, _ = await call(client, "search", question="lamp mended", limit=1, max_tokens=50)
        (hit,) = found["passages"]
        assert "gauge 3 " not in hit["text"]
        whole = f"# Tides\n\n## Gull Rock\n\n{LONG}\n\nThe lamp was mended by Idris."
        assert await opened(client, hit["resource"]) == whole
        assert await opened(client, hit["resource"].partition("?at=")[0]) == NOTES
        read, _ = await call(client, "read", citation=hit["resource"])
        assert "The lamp was mended by Idris." in read["text"]
        for question, text in {
            "wages pounds": "### Wages\n\nForty pounds a night.",
            "quiet year": "## North Quay\n\nA quiet year.",
        }.items():
            found, _ = await call(client, "search", question=question, limit=1)
            assert await opened(client, found["passages"][0]["resource"]) == text


@pytest.mark.anyio
async def test_a_table_that_was_cut_is_read_whole_with_what_stands_beside_it(
    connect: Connect, tmp_path: Path
) -> None:
    rows = "\n".join(f"| Gauge {number} | rose by {number} cm |" for number in range(200))
    section = f"## Readings\n\nBefore.\n\n| Gauge | Tide |\n|---|---|\n{rows}\n\nAfter."
    (tmp_path / "a.md").write_text(f"# Tides\n\nA note.\n\n{section}\n\n## Readings\n\nOther ones.\n")
    async with connect(RAG) as client:
        await call(client, "ingest", path=str(tmp_path / "a.md"))
        for question in ("before", "gauge 150", "after"):
            found, _ = await call(client, "search", question=question, limit=1)
            assert await opened(client, found["passages"][0]["resource"]) == section


@pytest.mark.anyio
async def test_a_sheet_is_a_section_and_so_is_each_passage_of_a_research(
    connect: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "tides.xlsx"
    sheets = {"it's 1 + 2": [["Gauge", "Tide"], ["Gull Rock", "3"]], "B": [["Gauge"], ["North Quay"]]}
    file.write_bytes(xlsx(sheets))
    async with connect(RAG) as client:
        await call(client, "ingest", path=str(file))
        begun, _ = await call(client, "research", question="Gull Rock")
        text = await opened(client, begun["found"][0]["resource"])
        assert "Gull Rock" in text
        assert "North Quay" not in text


@pytest.mark.anyio
async def test_an_address_that_leads_nowhere_is_refused_with_what_would(
    connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("# A\n\nA tide.\n")
    uri = document_uri("default", str(tmp_path / "a.md"))
    async with connect(RAG) as client:
        await call(client, "ingest", path=str(tmp_path))
        with pytest.raises(MCPError, match="Write it so: at=12-18"):
            await opened(client, f"{uri}?at=x")
        with pytest.raises(MCPError, match=r'Did you mean ".*a\.md"\?'):
            await opened(client, f"{document_uri('default', str(tmp_path / 'b.md'))}?at=1")
        with pytest.raises(MCPError, match='There is no collection "notes"'):
            await opened(client, f"{document_uri('notes', str(tmp_path / 'a.md'))}?at=1")
        assert await opened(client, f"{uri}?at=99999-999999") == "# A\n\nA tide."


LINES = st.sampled_from(
    [
        "# One",
        "## Two",
        "## Two",
        "### Three",
        "Text of a line. And another.",
        "",
        "- item",
        "| a | b |",
        "|---|---|",
        "| 1 | 2 |",
        "```",
        "code = 1",
        "---",
        "word " * 300,
    ]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LINES, max_size=25).map(lambda lines: "\n".join(["First.", *lines])))
def test_every_passage_stands_in_its_section_and_that_in_the_document(text: str) -> None:
    with TemporaryDirectory() as folder:
        library = open_library(Settings(data_dir=Path(folder), embedder="none"))
        list(library.ingest("notes", given_text(text, "Note"), unwatched))
        stored, store = library.store.text("notes", "text:Note") or "", library.store
        for chunk in store.run("notes", "text:Note", 0, LAST):
            place = Place(
                path=chunk.path, collection="notes", first=chunk.first, last=chunk.last, part=chunk.part
            )
            found = section(store, place)
            assert found is not None
            assert chunk.text in found
            assert found in stored
        library.close()


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=9).filter(
    lambda name: name.strip(" /.")
)


@given(
    collection=st.from_regex(r"\w[\w .-]{0,9}", fullmatch=True),
    path=st.one_of(NAMES.map("/notes/{}".format), NAMES.map("https://example.org/{}".format)),
    sheet=st.one_of(st.just(""), NAMES),
    first=st.integers(1, 10**6),
    more=st.integers(0, 99),
)
def test_every_address_is_taken_apart_as_it_was_put_together(
    collection: str, path: str, sheet: str, first: int, more: int
) -> None:
    passage = Passage(
        id=1,
        collection=collection,
        path=path,
        title="",
        heading=(),
        unit="line",
        first=first,
        last=first + more,
        verbatim=True,
        text="",
        part=sheet,
    )
    uri = section_uri(passage)
    found = UriTemplate.parse(TEMPLATE).match(uri)
    assert found is not None
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    wanted = (collection, path.replace("//", "/") if path[0] == "/" else path, first, first + more, sheet)
    for read in (meant(**texts), places(uri)):
        assert wanted in [
            (place.collection, place.path, place.first, place.last, place.part) for place in read
        ]
