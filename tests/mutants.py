"""Programs with one small thing changed, as a careless coder changes it: what tests are there to stop.

What is changed is found in the syntax tree and replaced in the text, so that all else stays as it was.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
# Of one precedence each, so that the tree around them stays as it is.
SUMS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Mod: "*",
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A changed program, and what was changed: `line 7: < became <=`."""

    source: str
    change: str


def mutants(source: str) -> list[Mutant]:
    """All that differ from a program in one place, in the order of their places."""
    lines = source.encode().splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines))]
    made = []
    for begin, end, new in sorted(_edits(ast.parse(source))):
        first, last = starts[begin[0] - 1] + begin[1], starts[end[0] - 1] + end[1]
        encoded = source.encode()
        changed = encoded[:first] + new.encode() + encoded[last:]
        was = " ".join(encoded[first:last].decode().split())
        made.append(Mutant(source=changed.decode(), change=f"line {begin[0]}: {was} became {new}"))
    return made


def mutant(source: str, seed: str) -> Mutant:
    """One of them; the same for the same seed."""
    return Random(seed).choice(mutants(source))


def broken(source: str, seed: str) -> str:
    """The program without one sign, so that it cannot be read at all; the same for the same seed."""
    signs = [at for at, sign in enumerate(source) if sign in ":()[],'\""]
    Random(seed).shuffle(signs)
    return next(text for at in signs if not _is_read(text := source[:at] + source[at + 1 :]))


def _is_read(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


Place = tuple[int, int]
"""A line, from 1, and a byte in it, from 0."""
Edit = tuple[Place, Place, str]


def _edits(tree: ast.Module) -> Iterator[Edit]:
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                for new in COMPARISONS[type(op)]:
                    yield _between(left, right, new, node)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in SUMS:
                yield _between(left, right, SUMS[type(op)], node)
            case ast.BoolOp(op=op, values=[first, second]):
                yield _whole(node, _joined(op, first, second))
            case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
                yield _whole(node, ast.unparse(operand))
            case ast.Constant(value=bool() as value):
                yield _whole(node, str(not value))
            case ast.Constant(value=int() as value):
                yield _whole(node, str(value + 1))
                if value > 0:
                    yield _whole(node, str(value - 1))
            case ast.Call(func=ast.Name(id=name) as called) if name in CALLS:
                yield _whole(called, CALLS[name])
            case ast.Break():
                yield _whole(node, "continue")
            case ast.Continue():
                yield _whole(node, "break")


def _whole(node: ast.expr | ast.stmt, new: str) -> Edit:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), new


def _between(left: ast.expr, right: ast.expr, op: str, node: ast.expr) -> Edit:
    """The whole expression anew: brackets around a side are no part of it."""
    return _whole(node, f"{_bracketed(left)} {op} {_bracketed(right)}")


def _joined(op: ast.boolop, first: ast.expr, second: ast.expr) -> str:
    other = "or" if isinstance(op, ast.And) else "and"
    return f"({_bracketed(first)} {other} {_bracketed(second)})"


def _bracketed(node: ast.expr) -> str:
    text = ast.unparse(node)
    return (
        f"({text})"
        if isinstance(node, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.Lambda)
        else text
    )
