"""Expressions that read a workflow's inputs and results, and templates that hold them as `{{ … }}`.

They are Python's in form, and few: names, attributes, indexes, literals, comparisons, `and`, `or`, `not`,
`+`, `-`, `a if b else c`, and calls of the functions below. They are walked, never run by Python, so that
none reaches anything but the data it is given. What is missing is None, as is an attribute of None.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

MOST = 1_000_000
"""Characters, or items, of a value that is put together."""

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class ExpressionInvalid(ValueError):
    """An expression that cannot be understood, or not be used on its data; `str(error)` is a clause."""


def vote(values: Any) -> Any:
    """The value that most have said; the first of those where several have as many."""
    if not isinstance(values, list) or not values:
        return None
    texts = [json.dumps(value, sort_keys=True) for value in values]
    return values[texts.index(Counter(texts).most_common(1)[0][0])]


def found(text: Any, pattern: Any) -> Any:
    """What follows a word that begins a line of a text; None where none does."""
    for line in str(text).splitlines():
        head, separator, rest = line.partition(str(pattern))
        if separator and not head.strip(" *#>-"):
            return rest.strip(" *")
    return None


def _json(text: Any) -> Any:
    """The first JSON value in a text, which may stand between other words."""
    if not isinstance(text, str):
        return text
    for start in (match.start() for match in re.finditer(r"[\[{]", text)):
        try:
            return json.JSONDecoder().raw_decode(text[start:])[0]
        except ValueError:
            continue
    try:
        return json.loads(text)
    except ValueError as error:
        raise ExpressionInvalid("json() was given a text without JSON in it") from error


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "after": found,
    "bool": bool,
    "float": float,
    "int": int,
    "join": lambda values, between="\n\n": str(between).join(as_text(value) for value in values or ()),
    "json": _json,
    "len": lambda value: len(value or ()),
    "lines": lambda text: [line.strip() for line in str(text or "").splitlines() if line.strip()],
    "lower": lambda text: str(text or "").lower(),
    "max": max,
    "min": min,
    "range": lambda count: list(range(min(int(count), MOST))),
    "str": lambda value: as_text(value),
    "strip": lambda text: str(text or "").strip(),
    "vote": vote,
}

_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in (right or ()),
    ast.NotIn: lambda left, right: left not in (right or ()),
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}


def value(source: str, scope: Mapping[str, Any]) -> Any:
    """What an expression gives on its data.

    Raises:
        ExpressionInvalid: it is none, or does not fit the data.
    """
    try:
        return _Walk(scope).of(parsed(source))
    except (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        if isinstance(error, ExpressionInvalid):
            raise
        raise ExpressionInvalid(f"{source.strip()!r} does not fit its data: {error}") from error


def filled(template: Any, scope: Mapping[str, Any]) -> Any:
    """A template with its expressions' values in it, in all its texts. A text that is one expression and
    nothing else becomes its value, whatever that is.

    Raises:
        ExpressionInvalid: as `value` does.
    """
    if isinstance(template, str):
        if (whole := _HOLE.fullmatch(template.strip())) and "{{" not in whole[1]:
            return value(whole[1], scope)
        return _HOLE.sub(lambda hole: as_text(value(hole[1], scope)), template)
    if isinstance(template, Mapping):
        return {key: filled(item, scope) for key, item in template.items()}
    if isinstance(template, Sequence):
        return [filled(item, scope) for item in template]
    return template


def expressions(template: Any) -> Iterator[str]:
    """The expressions in a template."""
    if isinstance(template, str):
        yield from (hole[1] for hole in _HOLE.finditer(template))
    elif isinstance(template, Mapping):
        for item in template.values():
            yield from expressions(item)
    elif isinstance(template, Sequence):
        for item in template:
            yield from expressions(item)


def read(source: str) -> Iterator[tuple[str, str]]:
    """What an expression reads, as pairs: `steps.draft.text` gives ("steps", "draft"), `item` ("item", "").

    Raises:
        ExpressionInvalid: it is none.
    """
    tree = parsed(source)
    inner = {
        id(node.value): _key(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Subscript)
    }
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in functions and node.id.lower() not in _CONSTANTS:
            yield node.id, inner.get(id(node), "")


def as_text(value: Any) -> str:
    """A value as it stands in a text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=4096)
def parsed(source: str) -> ast.expr:
    """The tree of an expression, of known parts only.

    Raises:
        ExpressionInvalid: it is none.
    """
    try:
        tree = _tree(source.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionInvalid(f"{source.strip()!r} is no expression") from error
    for node in ast.walk(tree):
        _look_at(node, source.strip())
    return tree


def _tree(source: str) -> ast.expr:
    try:
        return ast.parse(source, mode="eval").body
    except SyntaxError:  # TOML and YAML make a line's end of what was written as \\n within quotes
        return ast.parse(source.replace("\n", "\\n"), mode="eval").body


_KNOWN = (
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.Attribute,
    ast.Subscript,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.Compare,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.USub,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.IfExp,
    ast.Call,
    *_COMPARISONS,
)


def _look_at(node: ast.AST, source: str) -> None:
    if not isinstance(node, _KNOWN):
        raise ExpressionInvalid(f"{source!r} holds what expressions have not ({type(node).__name__})")
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS or node.keywords:
            raise ExpressionInvalid(f"{source!r} calls what is none of the functions {', '.join(FUNCTIONS)}")


def _key(node: ast.Attribute | ast.Subscript) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return str(node.slice.value) if isinstance(node.slice, ast.Constant) else ""


class _Walk:
    """One evaluation."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope

    def of(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=constant):
                return constant
            case ast.Name(id=name):
                return _CONSTANTS[name.lower()] if name.lower() in _CONSTANTS else self._scope.get(name)
            case ast.Attribute(value=inner, attr=name):
                return _item(self.of(inner), name)
            case ast.Subscript(value=inner, slice=index):
                return _item(self.of(inner), self.of(index))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.of(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return {
                    str(self.of(key)): self.of(item) for key, item in zip(keys, values, strict=True) if key
                }
            case ast.IfExp(test=test, body=body, orelse=other):
                return self.of(body) if self.of(test) else self.of(other)
            case ast.BoolOp(op=op, values=parts):
                return self._either(isinstance(op, ast.Or), parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.of(operand)
            case ast.UnaryOp(operand=operand):
                return -self.of(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _sum(self.of(left), self.of(right), minus=isinstance(op, ast.Sub))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compared(self.of(left), ops, others)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return FUNCTIONS[name](*(self.of(argument) for argument in arguments))
        raise ExpressionInvalid(f"{ast.unparse(node)!r} is no expression")

    def _either(self, stops_at: bool, parts: Sequence[ast.expr]) -> Any:
        for part in parts:
            if bool(result := self.of(part)) is stops_at:
                break
        return result

    def _compared(self, left: Any, ops: Sequence[ast.cmpop], others: Sequence[ast.expr]) -> bool:
        for op, other in zip(ops, others, strict=True):
            right = self.of(other)
            if not _COMPARISONS[type(op)](left, right):
                return False
            left = right
        return True


def _item(whole: Any, key: Any) -> Any:
    if isinstance(whole, Mapping):
        return whole.get(key)
    if isinstance(whole, list | str) and isinstance(key, int):
        return whole[key] if -len(whole) <= key < len(whole) else None
    if whole is None:
        return None
    raise ExpressionInvalid(f"a {type(whole).__name__} has no {key!r}")


def _sum(left: Any, right: Any, *, minus: bool) -> Any:
    result = left - right if minus else left + right
    if isinstance(result, str | list) and len(result) > MOST:
        raise ExpressionInvalid(f"what it puts together is over {MOST} long")
    return result
