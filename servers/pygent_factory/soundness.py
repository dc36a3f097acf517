"""Whether a spec makes sense as a whole: fields that are right by themselves may contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pygent_shared import models
from pygent_shared.errors import InvalidArgument

if TYPE_CHECKING:
    from pygent_factory.spec import Spec

LEAST_REQUESTS = {
    "self_consistency": 5,
    "reflexion": 2,
    **dict.fromkeys(("beam", "depth_first", "best_first", "mcts"), 2),
}
"""Calls of the model without which a strategy comes to no answer."""
_DEFS = "#/$defs/"


def sound(spec: Spec) -> None:
    """Do nothing.

    Raises:
        InvalidArgument: a model is none, or the fields contradict each other; the first is named.
    """
    for name in spec.models:
        models.checked(name)
    for name, why, cure in _contradictions(spec):
        raise InvalidArgument(name, why, cure)


def _contradictions(spec: Spec) -> Iterator[tuple[str, str, str]]:
    if not spec.models:
        yield "model", "names no model", 'Name one, such as model="host".'
    if twice := [name for name, count in Counter(spec.models).items() if count > 1]:
        yield "model", f"names {twice[0]} twice", "A model that failed is not asked again: name it once."
    if len(spec.models) > 1 and spec.models[0] == models.HOST:
        cure = f"Name it last: model={[*spec.models[1:], models.HOST]}.".replace("'", '"')
        yield "model", "names others after host, which they would wait for a week", cure
    if spec.cites and not spec.tools:
        cure = 'Give it tools to find sources with, such as tools=["rag__*"], or set cites=false.'
        yield "cites", "asks for sources of an agent that has no tools to find any", cure
    least = LEAST_REQUESTS.get(spec.strategy, 1)
    if spec.budget.requests is not None and spec.budget.requests < least:
        why = f"is {spec.budget.requests}, and {spec.strategy} comes to no answer in fewer than {least}"
        yield "budget.requests", why, "Give it more, or another strategy."
    for field in type(spec.allowance).model_fields:
        whole, one = getattr(spec.allowance, field), getattr(spec.budget, field)
        if whole is not None and one is not None and field in spec.budget.model_fields_set and one > whole:
            why = f"is {one:g} for one run, and allowance.{field} is {whole:g} for all of them"
            yield f"budget.{field}", why, "Raise the allowance, or lower the budget."
    if spec.output is not None and (why := _no_schema(spec.output)):
        yield "output", why, 'Give the JSON Schema of an object: {"type": "object", "properties": {…}}.'


def _no_schema(schema: Mapping[str, Any]) -> str:
    """Why an output cannot be of a schema, as a clause; "" where it can."""
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"is no JSON Schema: {error.message}"
    defs = schema.get("$defs", {})
    if "#" in _refs(schema):
        return "is cyclic: it refers to the whole of itself"
    if lost := [ref for ref in _refs(schema) if ref not in defs]:
        return f'refers to "{lost[0]}", which is not among its $defs'
    if ring := _ring(defs):
        return f"is cyclic: {ring}"
    top = schema
    if isinstance(ref := schema.get("$ref"), str):
        top = defs[ref.removeprefix(_DEFS)]
    return "" if top.get("type") == "object" else "is not the schema of an object"


def _ring(defs: Mapping[str, Any]) -> str:
    """A way from a definition back to itself, as a text; "" where there is none."""

    def walk(name: str, path: tuple[str, ...]) -> str:
        if name in path:
            return " -> ".join([*path[path.index(name) :], name])
        return next(filter(None, (walk(other, (*path, name)) for other in _refs(defs.get(name)))), "")

    return next(filter(None, (walk(name, ()) for name in defs)), "")


def _refs(node: Any) -> Iterator[str]:
    """The definitions that a schema refers to."""
    if isinstance(node, Mapping):
        if isinstance(ref := node.get("$ref"), str):
            yield ref.removeprefix(_DEFS)
        for value in node.values():
            yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)
