"""Formats that are converted or have a structure of their own: what is kept of each, and where it stands."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office_files import docx, pptx, xlsx

from pygent_rag.chunking import Chunk, chunk
from pygent_rag.decoding import visible
from pygent_rag.document import Document
from pygent_rag.parsers import code, parse
from pygent_rag.passage import citation
from pygent_shared.errors import FileRefused

VERBATIM = [".md", ".txt", ".rst", ".csv", ".json", ".py", ".js", ".rs", ".c"]


def read(name: str, source: str | bytes) -> Document:
    return parse(Path(name), source if isinstance(source, bytes) else source.encode())


def outline(document: Document) -> list[tuple[str, tuple[str, ...], tuple[int, int], str]]:
    return [
        (
            block.kind,
            block.heading,
            document.span(block.start, block.end),
            document.text[block.start : block.end],
        )
        for block in document.blocks
    ]


def stretches(document: Document) -> list[tuple[Chunk, str]]:
    return [(piece, document.text[piece.start : piece.end]) for piece in chunk(document)]


def test_word_gives_headings_paragraphs_and_tables() -> None:
    made = docx(
        (1, "Guide"), "Words & more.", (2, "Deep"), [["Code", "Name"], ["A1", "Quay"]], title="The book"
    )
    document = read("n.docx", made)
    assert (document.title, document.verbatim) == ("The book", False)
    assert outline(document) == [
        ("heading", ("Guide",), (1, 1), "Guide"),
        ("prose", ("Guide",), (3, 3), "Words & more."),
        ("heading", ("Guide", "Deep"), (5, 5), "Deep"),
        ("table", ("Guide", "Deep"), (7, 8), "Code | Name\nA1 | Quay"),
    ]
    assert read("n.docx", docx((1, "Guide"), "Words.")).title == "Guide"


def test_powerpoint_gives_slides_with_titles_tables_and_notes() -> None:
    made = pptx(
        ("Intro", ["One\ntwo", [["A", "B"], ["c", "d"]]]), ("", ["No title."]), notes={1: "Say this.\u200b"}
    )
    document = read("n.pptx", made)
    assert document.unit == "slide"
    assert outline(document) == [
        ("heading", ("Intro",), (1, 1), "Intro"),
        ("prose", ("Intro",), (1, 1), "One\ntwo"),
        ("table", ("Intro",), (1, 1), "A | B\nc | d"),
        ("prose", ("Intro",), (1, 1), "Say this."),
        ("prose", (), (2, 2), "No title."),
    ]
    assert [(piece.first, piece.last) for piece in chunk(document)] == [(1, 1), (2, 2)]


def test_a_spreadsheet_gives_the_rows_of_its_visible_sheets() -> None:
    rows = [["Code", "Name"], ["1", "Quay"], [], [], ["x", "y"]]
    document = read("n.xlsx", xlsx({"Tide 1": rows, "S": [["a"]], "H": [["secret"]]}, hidden=["H"]))
    assert document.unit == "row"
    assert document.note == "hidden sheets were left out: H"
    assert "secret" not in document.text
    assert outline(document) == [
        ("heading", ("Tide 1",), (1, 1), "Tide 1"),
        ("table", ("Tide 1",), (1, 2), "Code | Name\n1 | Quay"),
        ("table", ("Tide 1",), (5, 5), "x | y"),
        ("heading", ("S",), (1, 1), "S"),
        ("table", ("S",), (1, 1), "a"),
    ]
    first, second = stretches(document)
    assert (first[0].first, first[0].last, first[0].part, second[0].part) == (1, 5, "Tide 1", "S")
    assert first[1].split("\n")[4] == "x | y"  # a row is as many lines down as in the sheet
    assert citation("n.xlsx", "row", 5, "Tide 1") == "n.xlsx#'Tide 1'!A5"
    assert citation("n.xlsx", "row", 1, "S") == "n.xlsx#S!A1"


def test_a_notebook_gives_cells_under_the_headings_of_its_markdown() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Head\n", "Words.\n", "## Sub\n"]},
        {
            "cell_type": "code",
            "source": "level(1)",
            "outputs": [
                {"output_type": "stream", "text": ["low\n", "tide\n"]},
                {"output_type": "execute_result", "data": {"text/plain": "3", "image/png": "iVBO"}},
                {"output_type": "error", "traceback": ["\x1b[31mno"]},
            ],
        },
    ]
    document = read("n.ipynb", json.dumps({"cells": cells, "nbformat": 4}))
    assert document.unit == "cell"
    assert outline(document) == [
        ("heading", ("Head",), (1, 1), "# Head"),
        ("prose", ("Head",), (1, 1), "Words."),
        ("heading", ("Head", "Sub"), (1, 1), "## Sub"),
        ("code", ("Head", "Sub"), (2, 2), "level(1)"),
        ("code", ("Head", "Sub"), (2, 2), "low\ntide"),
        ("code", ("Head", "Sub"), (2, 2), "3"),
    ]
    assert citation("n.ipynb", "cell", 2) == "n.ipynb#cell=2"


def test_restructured_text_gives_titles_tables_and_code() -> None:
    source = """=====
Title
=====

Intro.

Part
----

Code::

    x = 1

    y = 2

====  ====
A     B
====  ====
1     2
====  ====

+---+---+
| a | b |
+---+---+

.. code-block:: python

   def f(): pass

Sub
~~~
Text.

Two
----
- item
"""
    document = read("n.rst", source)
    assert document.title == "Title"
    assert [entry[:3] for entry in outline(document)] == [
        ("heading", ("Title",), (1, 3)),
        ("prose", ("Title",), (5, 5)),
        ("heading", ("Title", "Part"), (7, 8)),
        ("code", ("Title", "Part"), (10, 14)),
        ("table", ("Title", "Part"), (16, 20)),
        ("table", ("Title", "Part"), (22, 24)),
        ("code", ("Title", "Part"), (26, 28)),
        ("heading", ("Title", "Part", "Sub"), (30, 31)),
        ("prose", ("Title", "Part", "Sub"), (32, 32)),
        ("heading", ("Title", "Two"), (34, 35)),
        ("prose", ("Title", "Two"), (36, 36)),
    ]


def test_json_is_cut_between_members_under_their_keys() -> None:
    items = [{"id": number, "name": f"Gauge number {number} of the old quay"} for number in range(20)]
    made = read("n.json", json.dumps({"about": {"by": "Ida"}, "stations": {"north": items}}))
    found = stretches(made)
    assert found[0][0].heading == ()
    assert '"by": "Ida"' in found[0][1]
    inside = [text for piece, text in found if piece.heading == ("stations", "north")]
    assert len(inside) > 2
    assert all(text.startswith('{"id":') for text in inside)


def test_letters_that_json_writes_as_numbers_can_be_found() -> None:
    document = read("n.json", json.dumps({"k": 'café 😀 \\u00e9 "q" \x01'}))
    assert document.text == '{"k": "café 😀 \\\\u00e9 \\"q\\" \\u0001"}'


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('{"a": [1, 2}', "line 1: } closes nothing"),
        ('{"a":\n [1, 2', "line 2: [ is not closed"),
        ('["a\n"]', "line 1: a string is not closed"),
        ("[" * 20_000, "line 1: nested deeper than 10000 levels"),
    ],
)
def test_broken_json_is_cut_by_lines_and_says_so(source: str, why: str) -> None:
    document = read("n.json", source)
    assert document.note == f"not valid JSON ({why}), so it is cut by lines"
    assert [document.text[block.start : block.end] for block in document.blocks] == [
        line.strip() for line in source.split("\n")
    ]


def test_records_of_a_table_stay_whole_and_carry_the_names_of_their_columns() -> None:
    rows = [f'{number};"Gull Rock\nby the outer beacon";radar {number}' for number in range(60)]
    found = stretches(read("n.csv", "\n".join(["Code;Place;Sensor", *rows])))
    assert len(found) > 3
    assert found[0][0].heading == ()
    for (piece, text), _ in pairwise(found[1:]):
        assert piece.heading == ("Code;Place;Sensor",)
        assert text.count('"') % 2 == 0
        assert text[0].isdigit()


def test_a_long_table_in_markdown_carries_its_head_row_into_each_part() -> None:
    rows = [f"| OS{number} | Gull Rock by the outer beacon | radar |" for number in range(80)]
    table = "\n".join(["| Code | Place | Sensor |", "|---|---|---|", *rows])
    first, *others = stretches(read("n.md", f"# Stations\n\n{table}\n"))
    assert first[0].heading == ("Stations",)
    assert {piece.heading for piece, _ in others} == {("Stations", "| Code | Place | Sensor |")}


CODE = {
    "n.js": (
        "// Adds.\nexport function add(a) {\n  return a;\n}\nclass A {\n  m() {}\n}\nconst f = () => 1;\n",
        [("add",), ("A",), ("A", "m"), ("f",)],
    ),
    "n.ts": (
        "export interface P { x: number }\nclass A<T> {\n  m(): T {}\n}\n",
        [("P",), ("A",), ("A", "m")],
    ),
    "n.tsx": ("export const C = () => <div>hi</div>;\n", [("C",)]),
    "n.go": ("package m\n\ntype L struct {\n\tX int\n}\n\nfunc (l *L) Up() {}\n", [(), ("L",), ("Up",)]),
    "n.rs": ("struct P { x: i32 }\n\nimpl P {\n    fn up() {}\n}\n", [("P",), ("P", "up")]),
    "n.java": ("package x;\npublic class A {\n  int m() { return 1; }\n}\n", [(), ("A",), ("A", "m")]),
    "n.c": ("#include <x.h>\nstatic int *add(int a)\n{\n}\nstruct P { int x; };\n", [(), ("add",), ("P",)]),
    "n.cpp": (
        "namespace n {\nclass A {\n  int m() {}\n};\n}\nint A::z() {}\n",
        [("n",), ("n", "A"), ("n", "A", "m"), ("A::z",)],
    ),
    "n.cs": ("namespace N {\nclass A {\n int M() {}\n}\n}\n", [("N",), ("N", "A"), ("N", "A", "M")]),
    "n.rb": (
        "module M\n  class A\n    def y?\n    end\n  end\nend\n",
        [("M",), ("M", "A"), ("M", "A", "y?")],
    ),
    "n.php": ("<?php\nclass A {\n function m() {}\n}\n", [(), ("A",), ("A", "m")]),
    "n.sh": ("set -e\nup() {\n  echo 1\n}\n", [(), ("up",)]),
}


@pytest.mark.parametrize("name", CODE)
def test_code_is_cut_by_definitions(name: str) -> None:
    pytest.importorskip("tree_sitter")
    source, headings = CODE[name]
    document = read(name, source)
    assert document.note == ""
    assert [block.heading for block in document.blocks] == headings


def test_broken_code_is_cut_as_far_as_it_can_be_read() -> None:
    pytest.importorskip("tree_sitter")
    document = read("n.js", "function a() {\n  return (1;\n}\nfunction b() {}\n")
    assert document.note.startswith("not valid in places")
    assert ("b",) in [block.heading for block in document.blocks]


def test_code_without_its_grammar_is_cut_as_text_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code._parser.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_javascript", None)
    document = read("n.js", "function a() {}\n")
    assert [block.kind for block in document.blocks] == ["prose"]
    assert document.note.endswith("pip install 'pygent-factory[code]'")
    code._parser.cache_clear()


def test_the_main_part_of_a_page_is_read_without_menus_and_what_is_hidden() -> None:
    words = "<p>Words of the main part. </p>" * 20
    shown = (
        f"<nav>Menu</nav><div>Advert</div><main><h1>Head</h1>{words}<div hidden><div>x</div>Obey</div></main>"
    )
    text = read("n.html", f"{shown}<footer>Imprint</footer>").text
    assert text.count("Words of the main part.") == 20
    assert not {"Menu", "Advert", "Imprint", "Obey", "x"} & set(text.split())
    short = read("n.html", "<div>All there is</div><main>Short</main><p style='display: none'>No</p>").text
    assert "All there is" in short


def test_a_page_is_decoded_as_it_says() -> None:
    page = '<meta charset="shift_jis"><p>潮位が上がる。</p>'
    document = read("n.html", page.encode("shift_jis"))
    assert (document.text.strip(), document.decoded) == ("潮位が上がる。", "shift_jis")
    assert read("n.html", b"<meta charset='utf-7'><p>caf\xe9 +AGE-</p>").text.strip() == "café +AGE-"


LINES = st.sampled_from(
    [
        "# One",
        "def f():",
        "    return 'é'",
        "a,b,c",
        '"x, y",2',
        '{"k": [1, 2]}',
        "| a | b |",
        "|---|---|",
        "Title",
        "=====",
        "Prose of the tide. It rose.",
        "zero\u200bwidth \u202ehere\ufeff",
        "function f() {",
        "}",
        "码头。潮",
        "😀 emoji",
        "",
        "\x0c",
        "w" * 400,
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
TEXTS = st.lists(st.tuples(LINES, ENDS), max_size=25).map(lambda parts: "".join(a + b for a, b in parts))


@given(
    TEXTS,
    st.sampled_from(VERBATIM),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_the_bytes_of_a_chunk_say_what_it_says(source: str, suffix: str, encoding: str) -> None:
    data = source.encode(encoding)
    document = parse_or_none(suffix, data)
    if document is None:
        return
    codec = {"utf-16": "utf-16-le"}.get(encoding, "utf-8")
    for piece, text in stretches(document):
        assert piece.source is not None
        there = data[slice(*piece.source)]
        assert visible(there.decode(codec)) == text


@given(st.binary(max_size=300))
def test_the_bytes_of_a_chunk_say_what_it_says_in_other_encodings(data: bytes) -> None:
    document = parse_or_none(".txt", data)
    if document is None or document.decoded not in ("", "cp1252"):
        return
    for piece, text in stretches(document):
        assert piece.source is not None
        there = data[slice(*piece.source)].decode(document.decoded or "utf-8", errors="replace")
        assert visible(there) == text


def parse_or_none(suffix: str, data: bytes) -> Document | None:
    try:
        return parse(Path(f"n{suffix}"), data)
    except FileRefused:
        return None
