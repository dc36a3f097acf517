"""How fast documents are parsed and cut: documents and megabytes per CPU-second, by format.

    python tests/benchmarks/parsing.py

The documents are made here: some 20 kB of prose, tables and code each. No vectors are made and nothing is
stored; Office files and PDFs hold fewer bytes of text than their size says.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "servers"))

from office_files import docx, pptx, xlsx

from pygent_rag.chunking import chunk
from pygent_rag.parsers import parse

WORDS = (
    "the tide gauge at the quay was read twice a day until the storm of March broke its staff and the weir "
    "keeper wrote levels on a board which nobody copied before rain washed them off so that datum was lost"
).split()
SECONDS = 2.0


def prose(rng: random.Random, sentences: int) -> str:
    return " ".join(
        " ".join(rng.choices(WORDS, k=rng.randint(6, 18))).capitalize() + "." for _ in range(sentences)
    )


def rows(rng: random.Random, count: int) -> list[list[str]]:
    return [
        ["Code", "Place", "Level"],
        *([f"OS{n}", prose(rng, 1), str(rng.randint(1, 999))] for n in range(count)),
    ]


def pdf(pages: list[str]) -> bytes:
    """A PDF of pages of lines."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, page in enumerate(pages):
        lines = [page[at : at + 90] for at in range(0, len(page), 90)]
        show = "BT /F1 9 Tf 12 TL 40 760 Td " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
        bodies.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        bodies.append(f"<< /Length {len(show)} >>\nstream\n{show}\nendstream")
    made, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(made))
        made += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(bodies) + 1
    end = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(made)}\n%%EOF\n"
    return f"{made}xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def documents(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    parts = [(f"Part {n}", prose(rng, 12)) for n in range(15)]
    table = rows(rng, 60)
    markdown = "".join(f"## {title}\n\n{text}\n\n" for title, text in parts)
    markdown += "".join(
        f"| {' | '.join(row)} |\n" + ("|---|---|---|\n" if not n else "") for n, row in enumerate(table)
    )
    yield "notes.md", markdown.encode()
    yield "notes.txt", "\n\n".join(text for _, text in parts).encode()
    yield "notes.rst", "".join(f"{title}\n{'-' * len(title)}\n\n{text}\n\n" for title, text in parts).encode()
    page = "".join(f"<h2>{title}</h2><p>{text}</p>" for title, text in parts)
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in table)
    yield "page.html", f"<nav>Menu</nav><main>{page}<table>{cells}</table></main>".encode()
    yield "paper.pdf", pdf([text for _, text in parts])
    yield "letter.docx", docx(*[part for title, text in parts for part in ((2, title), text)], table)
    yield "talk.pptx", pptx(*[(title, [text]) for title, text in parts])
    yield "levels.xlsx", xlsx({"Levels": [*table * 6]})
    yield "levels.csv", "\n".join(",".join(row) for row in table * 6).encode()
    yield (
        "levels.json",
        json.dumps([dict(zip(table[0], row, strict=True)) for row in table * 3], indent=1).encode(),
    )
    cell = [{"cell_type": "markdown", "source": f"## {title}\n\n{text}"} for title, text in parts]
    yield "notes.ipynb", json.dumps({"cells": cell}).encode()
    body = "".join(
        f"def level_{n}(reading):\n    '''{prose(rng, 2)}'''\n    return reading - {n}\n\n\n"
        for n in range(80)
    )
    yield "gauge.py", body.encode()
    body = "".join(
        f"// {prose(rng, 2)}\nfunction level{n}(reading) {{\n  return reading - {n};\n}}\n\n"
        for n in range(80)
    )
    yield "gauge.js", body.encode()


def main() -> None:
    print(f"{'format':8}{'bytes':>8}{'passages':>10}{'docs/s':>9}{'MB/s':>7}{'p99 ms':>8}")
    for name, data in documents(random.Random(7)):
        path = Path(name)
        passages = len(chunk(parse(path, data)))
        taken: list[float] = []
        while sum(taken) < SECONDS:
            began = time.process_time()
            chunk(parse(path, data))
            taken.append(time.process_time() - began)
        rate = len(taken) / sum(taken)
        late = sorted(taken)[int(len(taken) * 0.99)] * 1000
        print(f"{path.suffix:8}{len(data):8}{passages:10}{rate:9.0f}{rate * len(data) / 1e6:7.2f}{late:8.1f}")


if __name__ == "__main__":
    main()
