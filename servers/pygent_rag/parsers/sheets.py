"""Spreadsheets (Excel, OpenDocument), by calamine: each row a line, its cells told apart by bars.

A sheet's name is a heading. Where a table is cut, its first row goes with each part. Formulas are not worked
out: what was last shown is read.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from pygent_rag.archive import check_not_locked, damaged, locked, unpacking
from pygent_rag.decoding import one_line
from pygent_rag.document import Document
from pygent_rag.draft import Draft

_KIND = "a spreadsheet"


def parse(path: Path, data: bytes) -> Document:
    import python_calamine as calamine

    check_not_locked(path, data, _KIND)
    if data.startswith(b"PK"):
        with unpacking(path, data, _KIND):
            pass
    draft = Draft("row")
    hidden = []
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        for sheet in book.sheets_metadata:
            if sheet.typ != calamine.SheetTypeEnum.WorkSheet:
                continue
            if sheet.visible == calamine.SheetVisibleEnum.Visible:
                _add(draft, one_line(sheet.name), book.get_sheet_by_name(sheet.name))
            else:
                hidden.append(one_line(sheet.name))
    except calamine.PasswordError as error:
        raise locked(path, _KIND) from error
    except calamine.CalamineError as error:
        raise damaged(path, _KIND) from error
    note = f"hidden sheets were left out: {', '.join(hidden)}" if hidden else ""
    return draft.document(title=path.stem, note=note)


def _add(draft: Draft, name: str, sheet: Any) -> None:
    """A sheet: its name, then its tables, which blank rows part."""
    first = sheet.start[0] + 1 if sheet.start else 1
    draft.place(first)
    draft.heading(1, name, part=name)
    table: list[str] = []
    begun = first
    rows = ((number, _line(row)) for number, row in enumerate(sheet.iter_rows(), start=first))
    for number, line in rows:
        if not line:
            continue
        if table and number > begun + len(table):
            _add_table(draft, name, begun, table, number)
            table = []
        begun = begun if table else number
        table.append(line)
    _add_table(draft, name, begun, table, begun + len(table) + 1)


def _add_table(draft: Draft, name: str, begun: int, rows: list[str], following: int) -> None:
    """Rows from `begun` on; as many line ends after them as lead to the row `following`."""
    length = 0
    for number, row in enumerate(rows, start=begun):
        draft.place(number, length)
        length += len(row) + 1
    draft.add("\n".join(rows), "table", part=name, gap="\n" * (following - begun - len(rows) + 1))


def _line(row: Sequence[object]) -> str:
    """A row's cells up to the last that is not empty."""
    cells = [_shown(cell) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return " | ".join(cells)


def _shown(cell: object) -> str:
    match cell:
        case bool():
            return "TRUE" if cell else "FALSE"
        case float() if cell.is_integer() and abs(cell) < 1e15:
            return str(int(cell))
        case datetime() if cell.time() == time():
            return cell.date().isoformat()
        case datetime():
            return cell.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return cell.isoformat()
        case _:
            return one_line(str(cell))
