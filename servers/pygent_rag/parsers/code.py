"""Source code other than Python: cut by definitions, as tree-sitter finds them.

A language is one row of `_LANGUAGES`. Where its grammar is not installed, the file is cut as plain text, and
its report says how to install it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pygent_rag.decoding import one_line
from pygent_rag.definitions import Definition, by_definition
from pygent_rag.document import LONGEST_HEADING, Document
from pygent_rag.parsers import text as plain

EXTRA = "pip install 'pygent-factory[code]'"

DEEPEST = 200
"""Levels of nodes that are looked through for definitions."""

_COMMENT = re.compile(r"\s*(?://|/?\*|#(?!\s*(?:if|else|elif|endif|include|define|pragma)\b)|@|\[)")


@dataclass(frozen=True, kw_only=True)
class _Language:
    """A grammar, the kinds of nodes that hold definitions, and those that are leaves of the path."""

    module: str
    outer: frozenset[str]
    inner: frozenset[str]
    function: str = "language"


def _language(module: str, outer: str, inner: str, function: str = "language") -> _Language:
    return _Language(
        module=module, outer=frozenset(outer.split()), inner=frozenset(inner.split()), function=function
    )


_JAVASCRIPT = _language(
    "tree_sitter_javascript",
    "class_declaration class",
    "function_declaration generator_function_declaration method_definition variable_declarator",
)
_SCRIPT_OUTER = "class_declaration abstract_class_declaration interface_declaration internal_module module"
_SCRIPT_INNER = (
    "function_declaration generator_function_declaration method_definition variable_declarator"
    " type_alias_declaration enum_declaration"
)
_C_OUTER = "class_specifier struct_specifier union_specifier namespace_definition"
_C_INNER = "function_definition enum_specifier"
_CPP = _language("tree_sitter_cpp", _C_OUTER, _C_INNER)
_TYPESCRIPT = _language("tree_sitter_typescript", _SCRIPT_OUTER, _SCRIPT_INNER, "language_typescript")

_LANGUAGES = {
    ".js": _JAVASCRIPT,
    ".mjs": _JAVASCRIPT,
    ".cjs": _JAVASCRIPT,
    ".jsx": _JAVASCRIPT,
    ".ts": _TYPESCRIPT,
    ".mts": _TYPESCRIPT,
    ".tsx": _language("tree_sitter_typescript", _SCRIPT_OUTER, _SCRIPT_INNER, "language_tsx"),
    ".go": _language("tree_sitter_go", "", "function_declaration method_declaration type_spec"),
    ".rs": _language(
        "tree_sitter_rust",
        "impl_item trait_item mod_item",
        "function_item struct_item enum_item macro_definition",
    ),
    ".java": _language(
        "tree_sitter_java",
        "class_declaration interface_declaration record_declaration enum_declaration",
        "method_declaration constructor_declaration",
    ),
    ".c": _language("tree_sitter_c", "struct_specifier union_specifier", _C_INNER),
    ".h": _CPP,
    ".cc": _CPP,
    ".cpp": _CPP,
    ".hpp": _CPP,
    ".cs": _language(
        "tree_sitter_c_sharp",
        "namespace_declaration class_declaration interface_declaration struct_declaration record_declaration",
        "method_declaration constructor_declaration property_declaration enum_declaration",
    ),
    ".rb": _language("tree_sitter_ruby", "class module", "method singleton_method"),
    ".php": _language(
        "tree_sitter_php",
        "namespace_definition class_declaration interface_declaration trait_declaration enum_declaration",
        "function_definition method_declaration",
        "language_php",
    ),
    ".sh": _language("tree_sitter_bash", "", "function_definition"),
    ".bash": _language("tree_sitter_bash", "", "function_definition"),
}

_FUNCTIONS = frozenset("arrow_function function_expression function generator_function class".split())
_NAMED_BY = ("name", "declarator", "type", "left")


def parse(path: Path, data: bytes) -> Document:
    as_text = replace(plain.parse(path, data), title=path.name)
    language = _LANGUAGES[path.suffix.lower()]
    try:
        parser = _parser(language.module, language.function)
    except ImportError:
        note = f"cut as plain text, since its grammar is not installed; to cut it by definitions: {EXTRA}"
        return replace(as_text, note=note)
    root = parser.parse(as_text.text.encode()).root_node
    definitions = list(_definitions(root, language))
    note = "not valid in places, where it is cut as it could be read" if root.has_error else ""
    return replace(as_text, blocks=tuple(by_definition(as_text.text, definitions, _COMMENT)), note=note)


@cache
def _parser(module: str, function: str) -> Any:
    from tree_sitter import Language, Parser

    return Parser(Language(getattr(importlib.import_module(module), function)()))


def _definitions(root: Any, language: _Language) -> Iterator[Definition]:
    """Every definition that is not inside a function."""
    waiting: list[tuple[Any, tuple[str, ...], int]] = [(root, (), 0)]
    while waiting:
        node, path, depth = waiting.pop()
        name = _name(node, language)
        if name:
            path = (*path, name)
            yield _wrapped(node).start_point[0] + 1, _last_line(node), path
        if depth < DEEPEST and not (name and node.type in language.inner):
            waiting += [(child, path, depth + 1) for child in node.named_children]


def _name(node: Any, language: _Language) -> str:
    """What a node defines; "" when it defines nothing."""
    if node.type not in language.outer and node.type not in language.inner:
        return ""
    if node.type == "variable_declarator" and not _is_function(node.child_by_field_name("value")):
        return ""
    if node.type.endswith("_specifier") and node.child_by_field_name("body") is None:
        return ""  # C's way to name a type that is defined elsewhere
    named = node
    while named.type != "qualified_identifier" and (
        field := next(filter(None, map(named.child_by_field_name, _NAMED_BY)), None)
    ):
        named = field
    return one_line(named.text.decode(errors="replace"))[:LONGEST_HEADING] if named is not node else ""


def _is_function(node: Any) -> bool:
    return node is not None and node.type in _FUNCTIONS


def _wrapped(node: Any) -> Any:
    """The statement around a definition: `export …`, `const f = …`, a decorated one."""
    while (
        (around := node.parent)
        and around.start_point[0] <= node.start_point[0]
        and around.type
        in (
            "export_statement",
            "lexical_declaration",
            "variable_declaration",
            "decorated_definition",
            "template_declaration",
            "type_declaration",
        )
    ):
        node = around
    return node


def _last_line(node: Any) -> int:
    row, column = node.end_point
    return int(row) + (1 if column else 0)
