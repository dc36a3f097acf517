"""Python: cut by definitions, the names of class and function taking the place of headings."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pygent_rag.document import Block, Document
from pygent_rag.parsers import text as plain

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def parse(path: Path, data: bytes) -> Document:
    as_text = replace(plain.parse(path, data), title=path.name)
    try:
        owners = _owners(as_text.text)
    except SyntaxError as error:
        where = f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
        return replace(as_text, note=f"not valid Python here ({where}), so it is cut as plain text")
    except (ValueError, RecursionError, MemoryError):
        return replace(as_text, note="nested too deeply for Python's parser, so it is cut as plain text")
    return replace(as_text, blocks=tuple(_blocks(as_text, owners)))


def _owners(source: str) -> list[tuple[str, ...]]:
    """For each line, the path of names of the innermost class, or the function, that it belongs to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    lines = source.split("\n")
    owners: list[tuple[str, ...]] = [()] * len(lines)
    for first, last, path in sorted(_definitions(tree), key=lambda found: (found[0], -found[1])):
        while first > 1 and lines[first - 2].lstrip().startswith("#"):
            first -= 1
        owners[first - 1 : last] = [path] * (last - first + 1)
    return owners


def _definitions(tree: ast.Module) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """First line, last line and path of every class, and of every function that is not inside another."""
    waiting: list[tuple[ast.AST, tuple[str, ...]]] = [(tree, ())]
    while waiting:
        node, path = waiting.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            path = (*path, node.name)
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield first, node.end_lineno or first, path
        if not isinstance(node, _Function):
            inside = (ast.stmt, ast.excepthandler, ast.match_case)
            waiting += [(child, path) for child in ast.iter_child_nodes(node) if isinstance(child, inside)]


def _blocks(document: Document, owners: list[tuple[str, ...]]) -> Iterator[Block]:
    """Neighbouring lines with one owner, without the blank ones around them."""
    lines = zip(document.places.starts, document.text.split("\n"), owners, strict=True)
    for path, run in groupby(
        ((start, line, owner) for start, line, owner in lines if line.strip()), key=itemgetter(2)
    ):
        written = list(run)
        start, (last, line, _) = written[0][0], written[-1]
        yield Block(start=start, end=last + len(line.rstrip()), kind="code", heading=path)
