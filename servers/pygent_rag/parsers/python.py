"""Python: cut by definitions, as Python's own parser finds them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pygent_rag.definitions import Definition, by_definition
from pygent_rag.document import Document
from pygent_rag.parsers import text as plain

_COMMENT = re.compile(r"\s*#")


def parse(path: Path, data: bytes) -> Document:
    as_text = replace(plain.parse(path, data), title=path.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(as_text.text)
    except SyntaxError as error:
        where = f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
        return replace(as_text, note=f"not valid Python here ({where}), so it is cut as plain text")
    except (ValueError, RecursionError, MemoryError):
        return replace(as_text, note="nested too deeply for Python's parser, so it is cut as plain text")
    return replace(as_text, blocks=tuple(by_definition(as_text.text, _definitions(tree), _COMMENT)))


def _definitions(tree: ast.Module) -> Iterator[Definition]:
    """Every class, and every function that is not inside another."""
    waiting: list[tuple[ast.AST, tuple[str, ...]]] = [(tree, ())]
    while waiting:
        node, path = waiting.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            path = (*path, node.name)
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield first, node.end_lineno or first, path
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = (ast.stmt, ast.excepthandler, ast.match_case)
            waiting += [(child, path) for child in ast.iter_child_nodes(node) if isinstance(child, inside)]
