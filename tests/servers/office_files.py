"""Office documents for tests, made from their parts: the least that Word, Excel and PowerPoint files hold."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
_R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

Table = Sequence[Sequence[str]]


def packed(parts: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


def docx(*parts: str | tuple[int, str] | Table, title: str = "") -> bytes:
    """A Word document: text is a paragraph, (level, text) a heading, rows of cells a table."""
    body = "".join(_word(part) for part in parts)
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="H{level}"><w:name w:val="heading {level}"/></w:style>'
        for level in range(1, 7)
    )
    return packed(
        {
            "[Content_Types].xml": _types(
                {
                    "/word/document.xml": "wordprocessingml.document.main+xml",
                    "/word/styles.xml": "wordprocessingml.styles+xml",
                }
            ),
            "_rels/.rels": _relations({"r1": (f"{_KIND}/officeDocument", "word/document.xml")}),
            "word/_rels/document.xml.rels": _relations({"r1": (f"{_KIND}/styles", "styles.xml")}),
            "word/styles.xml": f"<w:styles {_W}>{styles}</w:styles>",
            "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
            "docProps/core.xml": (
                '<c:coreProperties xmlns:c="http://schemas.openxmlformats.org/package/2006/metadata/'
                'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/">'
                f"<dc:title>{escape(title)}</dc:title></c:coreProperties>"
            ),
        }
    )


def _word(part: str | tuple[int, str] | Table) -> str:
    if isinstance(part, str):
        return f"<w:p><w:r><w:t>{escape(part)}</w:t></w:r></w:p>"
    if isinstance(part[0], int):
        level, text = part
        style = f'<w:pPr><w:pStyle w:val="H{level}"/></w:pPr>'
        return f"<w:p>{style}<w:r><w:t>{escape(str(text))}</w:t></w:r></w:p>"
    rows = ("".join(f"<w:tc>{_word(str(cell))}</w:tc>" for cell in row) for row in part)  # type: ignore[union-attr]
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>"


def xlsx(sheets: Mapping[str, Table], *, hidden: Sequence[str] = ()) -> bytes:
    """An Excel file: rows of cells by sheet; digits are numbers; an empty row stays empty."""
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": _types(
            {"/xl/workbook.xml": "spreadsheetml.sheet.main+xml"}
            | {
                f"/xl/worksheets/s{number}.xml": "spreadsheetml.worksheet+xml"
                for number in range(len(sheets))
            }
        ),
        "_rels/.rels": _relations({"r1": (f"{_KIND}/officeDocument", "xl/workbook.xml")}),
        "xl/_rels/workbook.xml.rels": _relations(
            {
                f"r{number}": (f"{_KIND}/worksheet", f"worksheets/s{number}.xml")
                for number in range(len(sheets))
            }
        ),
    }
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number + 1}" r:id="r{number}"'
        + (' state="hidden"/>' if name in hidden else "/>")
        for number, name in enumerate(sheets)
    )
    parts["xl/workbook.xml"] = f"<workbook {main} {_R}><sheets>{listed}</sheets></workbook>"
    for number, rows in enumerate(sheets.values()):
        made = "".join(
            f'<row r="{row}">'
            + "".join(_cell(row, column, text) for column, text in enumerate(cells))
            + "</row>"
            for row, cells in enumerate(rows, start=1)
            if cells
        )
        parts[f"xl/worksheets/s{number}.xml"] = f"<worksheet {main}><sheetData>{made}</sheetData></worksheet>"
    return packed(parts)


def _cell(row: int, column: int, text: str) -> str:
    place = f'r="{chr(65 + column)}{row}"'
    if text.isdigit():
        return f"<c {place}><v>{text}</v></c>"
    return f'<c {place} t="inlineStr"><is><t>{escape(text)}</t></is></c>'


def pptx(*slides: tuple[str, Sequence[str | Table]], notes: Mapping[int, str] | None = None) -> bytes:
    """A PowerPoint file: each slide a title ("" for none), texts and tables; notes by number of the slide."""
    numbers = range(1, len(slides) + 1)
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": _types({"/ppt/presentation.xml": "presentationml.presentation.main+xml"}),
        "_rels/.rels": _relations({"r1": (f"{_KIND}/officeDocument", "ppt/presentation.xml")}),
        "ppt/_rels/presentation.xml.rels": _relations(
            {f"r{number}": (f"{_KIND}/slide", f"slides/x{number}.xml") for number in numbers}
        ),
        "ppt/presentation.xml": f"<p:presentation {_P} {_R}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{255 + number}" r:id="r{number}"/>' for number in numbers)
        + "</p:sldIdLst></p:presentation>",
    }
    for number, (title, content) in enumerate(slides, start=1):
        shapes = _shape("title", title) if title else ""
        shapes += "".join(_shape("", part) if isinstance(part, str) else _frame(part) for part in content)
        parts[f"ppt/slides/x{number}.xml"] = _slide("sld", shapes)
        if notes and number in notes:
            parts[f"ppt/slides/_rels/x{number}.xml.rels"] = _relations(
                {"r1": (f"{_KIND}/notesSlide", f"../notesSlides/n{number}.xml")}
            )
            parts[f"ppt/notesSlides/n{number}.xml"] = _slide(
                "notes", _shape("sldNum", "7") + _shape("body", notes[number])
            )
    return packed(parts)


def _slide(root: str, shapes: str) -> str:
    return f"<p:{root} {_P} {_A}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:{root}>"


def _shape(kind: str, text: str) -> str:
    place = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    return f"<p:sp>{place}<p:txBody>{_paragraph(text)}</p:txBody></p:sp>"


def _frame(rows: Table) -> str:
    made = "".join(
        "<a:tr>"
        + "".join(f"<a:tc><a:txBody>{_paragraph(cell)}</a:txBody></a:tc>" for cell in row)
        + "</a:tr>"
        for row in rows
    )
    inside = f"<a:graphic><a:graphicData><a:tbl>{made}</a:tbl></a:graphicData></a:graphic>"
    return f"<p:graphicFrame>{inside}</p:graphicFrame>"


def _paragraph(text: str) -> str:
    return "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in text.split("\n"))


def _types(overrides: Mapping[str, str]) -> str:
    office = "application/vnd.openxmlformats-officedocument."
    listed = "".join(
        f'<Override PartName="{name}" ContentType="{office}{kind}"/>' for name, kind in overrides.items()
    )
    return (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{listed}</Types>'
    )


def _relations(entries: Mapping[str, tuple[str, str]]) -> str:
    listed = "".join(
        f'<Relationship Id="{id}" Type="{kind}" Target="{target}"/>' for id, (kind, target) in entries.items()
    )
    return f'<Relationships xmlns="{_RELATIONS}">{listed}</Relationships>'
