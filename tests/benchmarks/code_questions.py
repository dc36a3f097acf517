"""Questions about code, in BEIR's format, for `ir.py`: made of the Python standard library.

    python tests/benchmarks/code_questions.py FOLDER

A document is a function without its docstring, titled by its module; the first sentence of the docstring is
the question that it alone is judged to answer (as in CodeSearchNet; Husain et al. 2019). Every function of a
fitting length is in the corpus; QUESTIONS of them are asked for. What is made depends on Python's version.
"""

from __future__ import annotations

import argparse
import ast
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "__pycache__"}
WORDS = range(5, 21)
"""Length of a question."""
LINES = range(3, 61)
"""Length of a function, without its head and docstring."""
QUESTIONS = 400


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path, metavar="FOLDER")
    folder = asked.parse_args().folder
    library = Path(sysconfig.get_paths()["stdlib"])
    found: dict[str, dict[str, str]] = {}
    for path in sorted(library.rglob("*.py")):
        if not LEFT_OUT & set(path.relative_to(library).parts):
            for question, code in functions(path):
                text = f"```python\n{code}\n```"
                found.setdefault(question, {"_id": f"f{len(found)}", "title": path.stem, "text": text})
    chosen = list(found)[:: max(1, len(found) // QUESTIONS)][:QUESTIONS]
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    written(folder / "corpus.jsonl", map(json.dumps, found.values()))
    asked_for = [json.dumps({"_id": found[question]["_id"], "text": question}) for question in chosen]
    written(folder / "queries.jsonl", iter(asked_for))
    judged = (f"{found[question]['_id']}\t{found[question]['_id']}\t1" for question in chosen)
    written(folder / "qrels" / "test.tsv", iter(["query-id\tcorpus-id\tscore", *judged]))
    print(f"{len(chosen)} questions about {len(found)} functions are in {folder}")


def functions(path: Path) -> Iterator[tuple[str, str]]:
    """The functions of a file that have a docstring: what it says first, and the code without it."""
    try:
        source = path.read_text("utf-8")
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError):
        return
    lines = source.split("\n")
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        said = (ast.get_docstring(node) or "").split("\n\n")[0].split(". ")[0]
        head = lines[node.lineno - 1 : node.body[0].lineno - 1]
        body = lines[node.body[0].end_lineno : node.end_lineno]
        if len(said.split()) in WORDS and len(body) in LINES:
            yield " ".join(said.split()), dedent("\n".join([*head, *body]))


def written(path: Path, lines: Iterator[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
