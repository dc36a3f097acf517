"""From a file's bytes to a document: structure, places, and refusals."""

from __future__ import annotations

import pkgutil
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygent_rag.chunking import chunk
from pygent_rag.decoding import decode, visible
from pygent_rag.document import Document
from pygent_rag.parsers import PARSERS, parse
from pygent_shared.errors import FileRefused


def pdf(*pages: str, encrypted: bool = False) -> bytes:
    """A PDF with a line of text on each page; "encrypted" with a password nobody knows."""
    bodies = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    bodies.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    bodies.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, line in enumerate(pages):
        show = f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET"
        bodies.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        bodies.append(f"<< /Length {len(show)} >>\nstream\n{show}\nendstream")
    lock = ""
    if encrypted:
        bodies.append(f"<< /Filter /Standard /V 1 /R 2 /O <{'11' * 32}> /U <{'22' * 32}> /P -4 >>")
        lock = f" /Encrypt {len(bodies)} 0 R /ID [<00> <00>]"
    made, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(made))
        made += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(bodies) + 1
    return (
        f"{made}xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer << /Size {size} /Root 1 0 R{lock} >>\nstartxref\n{len(made)}\n%%EOF\n"
    ).encode("latin-1")


def outline(document: Document) -> list[tuple[str, tuple[str, ...], str]]:
    return [(block.kind, block.heading, document.text[block.start : block.end]) for block in document.blocks]


def lines(document: Document) -> list[tuple[int, int]]:
    return [document.span(block.start, block.end) for block in document.blocks]


def test_markdown_gives_headings_tables_and_code_their_kind_and_lines() -> None:
    source = """---
title: "The Notes"
---
# Stations

Prose here
goes on.

| Code | Name |
|------|------|
| OS1 | Quay |

Lower
-----
```sh
# no heading
```
## Third ##
a | b
--|--
1 | 2
"""
    document = parse(Path("n.md"), source.encode())
    assert document.title == "The Notes"
    assert [(kind, heading) for kind, heading, _ in outline(document)] == [
        ("table", ()),
        ("heading", ("Stations",)),
        ("prose", ("Stations",)),
        ("table", ("Stations",)),
        ("heading", ("Stations", "Lower")),
        ("code", ("Stations", "Lower")),
        ("heading", ("Stations", "Third")),
        ("table", ("Stations", "Third")),
    ]
    assert lines(document) == [(1, 3), (4, 4), (6, 7), (9, 11), (13, 14), (15, 17), (18, 18), (19, 21)]


def test_html_gives_what_a_browser_shows_with_the_lines_of_the_source() -> None:
    source = """<html><head><title>Our &amp; data</title><style>p {}</style></head>
<body><script>alert("no")</script>
<h1>Using
 it</h1>
<p>One <b>bold</b>
word.</p><p>Two.
<table><tr><td>A</td><td>B</td></tr>
<tr><td></td><td>D</td></tr></table>
<pre>
  kept
    as is
</pre>
<h2>Deeper</h2>Text<br>on
</body></html>"""
    document = parse(Path("n.html"), source.encode())
    assert document.title == "Our & data"
    assert outline(document) == [
        ("heading", ("Using it",), "Using it"),
        ("prose", ("Using it",), "One bold word."),
        ("prose", ("Using it",), "Two."),
        ("table", ("Using it",), "A | B\n | D"),
        ("code", ("Using it",), "  kept\n    as is"),
        ("heading", ("Using it", "Deeper"), "Deeper"),
        ("prose", ("Using it", "Deeper"), "Text\non"),
    ]
    assert lines(document) == [(3, 4), (5, 6), (6, 6), (7, 8), (10, 11), (13, 13), (13, 13)]


@pytest.mark.parametrize("unclosed", ["<!--", "<a href='", "</", "<script "])
def test_a_page_of_unclosed_tags_is_read_in_a_moment(unclosed: str) -> None:
    began = time.process_time()
    document = parse(Path("n.html"), f"<p>First</p>{unclosed * 50_000}".encode())
    assert document.text.startswith("First")
    assert time.process_time() - began < 5  # html.parser alone takes minutes


def test_scripts_and_comments_are_left_out_and_lines_keep_their_number() -> None:
    source = '<script>\nif (a < b) x("<!--");\n</script>\n<!-- <p>old</p>\n--><style>\n</style><p>New</p>'
    document = parse(Path("n.html"), source.encode())
    assert (document.text.strip(), lines(document)) == ("New", [(6, 6)])


def test_python_is_cut_by_definitions_and_broken_python_as_text() -> None:
    source = (
        '"""About."""\nimport re\n\n@cache\ndef f():\n    "\\d"\n\nclass A:\n    async def g(self): ...\n'
    )
    document = parse(Path("m.py"), source.encode())
    assert [
        (heading, span) for (_, heading, _), span in zip(outline(document), lines(document), strict=True)
    ] == [
        ((), (1, 2)),
        (("f",), (4, 6)),
        (("A",), (8, 8)),
        (("A", "g"), (9, 9)),
    ]
    broken = parse(Path("m.py"), b"print 'two'\n")
    assert [kind for kind, _, _ in outline(broken)] == ["prose"]
    assert broken.note.startswith("not valid Python here (line 1:")
    assert "so it is cut as plain text" in parse(Path("m.py"), b"(" * 5000).note


def test_pdf_gives_pages() -> None:
    document = parse(Path("n.pdf"), pdf("The first page tells of alpha.", "", "The third of beta."))
    assert document.unit == "page"
    assert outline(document) == [
        ("prose", (), "The first page tells of alpha."),
        ("prose", (), "The third of beta."),
    ]
    assert lines(document) == [(1, 1), (3, 3)]
    assert [(piece.first, piece.last) for piece in chunk(document)] == [(1, 1), (3, 3)]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.pdf", pdf("alpha", encrypted=True), "locked with a password"),
        ("a.pdf", pdf("alpha")[:300], "not a whole PDF"),
        ("a.pdf", b"plain words", "not a whole PDF"),
        ("a.pdf", pdf("", ""), "has no text on its 2 pages"),
        ("a.md", b"\x89PNG\r\n\x1a\n\0\0\0", "holds NUL bytes"),
        ("a.txt", bytes(range(1, 9)) * 10, "mostly unprintable"),
        ("a.md", b"  \n\n ", "has no text"),
        ("a.html", b"<script>1</script>", "has no text"),
        ("a.docx", b"words", "is not a Word document that is whole"),
        ("a.xlsx", b"words", "is not a spreadsheet that is whole"),
        ("a.pptx", b"PK words", "is not a PowerPoint file that is whole"),
        ("a.ipynb", b"[]", "is no notebook that can be read"),
        ("a.odt", b"words", "is a .odt file, which is not read"),
        ("README", b"words", "has no suffix"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(name: str, data: bytes, why: str) -> None:
    with pytest.raises(FileRefused, match=re.escape(why)):
        parse(Path(name), data)


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("né".encode(), "né", ""),
        ("né".encode("utf-8-sig"), "né", ""),
        ("né".encode("utf-16"), "né", "utf-16"),
        ("né „x“".encode("cp1252"), "né „x“", "cp1252"),
        (b"a\x81b is long enough", "a�b is long enough", "cp1252"),
        (b"one\r\ntwo\rthree\n", "one\ntwo\nthree\n", ""),
    ],
)
def test_text_is_decoded_and_the_encoding_named_where_it_is_not_utf8(
    data: bytes, text: str, encoding: str
) -> None:
    decoded = decode(Path("a.txt"), data)
    assert (decoded.text, decoded.encoding) == (text, encoding)


def test_what_no_reader_would_see_is_taken_out() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    assert (
        visible(f"pass\u200bword\u202e \x1b[31m{hidden}\ufeff\xad\x00\ttab\x0cfeed")
        == "password [31m\ttab feed"
    )


@pytest.mark.parametrize("suffix", {where: suffix for suffix, where in PARSERS.items()}.values())
def test_any_bytes_become_a_document_or_a_refusal(suffix: str) -> None:
    parser = pkgutil.resolve_name(PARSERS[suffix])

    pieces = st.sampled_from(
        [
            b"<p>",
            b"</p>",
            b"<table><tr>",
            b"<td>",
            b"<![x[",
            b"<!--",
            b"<h1>",
            b"&#8203;",
            b"<title>",
            b"# a\n",
        ]
    )
    noise = st.one_of(
        st.binary(max_size=300), st.lists(st.one_of(pieces, st.binary(max_size=5))).map(b"".join)
    )

    @given(noise)
    def holds(data: bytes) -> None:
        try:
            document = parser(Path(f"x{suffix}"), data)
        except FileRefused:
            return
        assert document.text == visible(document.text)
        before, rest = 0, document.text
        for block in document.blocks:
            assert before <= block.start < block.end <= len(document.text)
            assert document.text[before : block.start].strip() == ""
            before, rest = block.end, document.text[block.end :]
        assert rest.strip() == ""
        for piece in chunk(document):
            assert 1 <= piece.first <= piece.last

    holds()
