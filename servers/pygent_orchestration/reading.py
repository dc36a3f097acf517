"""From the text of a workflow to its definition, or to the one sentence that says where it is wrong.

What can be known before it runs is known here: unknown fields and steps, circles, inputs that nobody
declared, expressions that are none, and steps that are of no kind, or of two.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from pygent_orchestration.expressions import ExpressionInvalid, expressions, read
from pygent_orchestration.graph import circle
from pygent_orchestration.lines import Lines, of_toml, of_yaml
from pygent_orchestration.spec import (
    KINDS,
    ROOTS,
    STEP_NAME,
    Action,
    Definition,
    Input,
    Step,
)
from pygent_shared.errors import FileRefused, InvalidArgument, did_you_mean
from pygent_shared.names import checked_name

Format = Literal["toml", "yaml"]

_SUFFIXES: Mapping[str, Format] = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}


class _Wrong(Exception):
    """What is wrong, as a clause, at which part, and the cure."""

    def __init__(self, path: tuple[Any, ...], why: str, cure: str) -> None:
        self.path, self.why, self.cure = path, why, cure


def workflow_name(name: str) -> str:
    """A name that a workflow may have.

    Raises:
        InvalidArgument: it is none.
    """
    return checked_name(name, "nightly-report")


def file(path: Path) -> Definition:
    """The workflow in a file.

    Raises:
        FileRefused: it cannot be read, or is neither TOML nor YAML by its name.
        InvalidArgument: what stands in it is no workflow; it says on which line.
    """
    if path.suffix not in _SUFFIXES:
        raise FileRefused(path, "is neither .toml nor .yaml", "Name it after what it is.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileRefused(path, f"cannot be read: {error}", "Check the path.") from error
    return definition(text, _SUFFIXES[path.suffix], path.name)


def definition(text: str, format: Format, source: str = "definition") -> Definition:
    """The workflow in a text.

    Args:
        source: what the text is called in errors.

    Raises:
        InvalidArgument: it is no workflow; it says on which line.
    """
    data, lines = _parsed(text, format, source)
    try:
        return checked(data)
    except _Wrong as wrong:
        line = lines.of(wrong.path)
        where = ".".join(str(part) for part in wrong.path)
        at = f"{source}, line {line}" if line else source
        raise InvalidArgument(at, f"{where} {wrong.why}".strip(), wrong.cure) from wrong


def _parsed(text: str, format: Format, source: str) -> tuple[Any, Lines]:
    try:
        if format == "toml":
            return tomllib.loads(text), of_toml(text)
        import yaml

        return yaml.safe_load(text), of_yaml(text)
    except ValueError as error:
        raise InvalidArgument(source, f"is no TOML: {error}", "Mend that line.") from error
    except Exception as error:  # PyYAML's own tree, which is imported with it
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        why = " ".join(str(error).split())
        raise InvalidArgument(source, f"is no YAML: {why}", "Mend that line.") from error


def checked(data: Any) -> Definition:
    """A definition of data as it was read.

    Raises:
        _Wrong: it is none.
    """
    if not isinstance(data, dict):
        raise _Wrong((), "is no table of steps", "Begin with [steps.NAME].")
    try:
        found = Definition.model_validate(data)
    except ValidationError as error:
        raise _first(error) from error
    _look_at_steps(("steps",), found.steps, found.inputs, {}, in_body=False)
    _look_at_template(("output",), found.output, found.inputs, found.steps, in_body=False)
    return found


def _first(error: ValidationError) -> _Wrong:
    first = error.errors(include_url=False, include_context=False)[0]
    path = first["loc"]
    if first["type"] == "extra_forbidden":
        names = [field.alias or name for name, field in _model_at(path).model_fields.items()]
        return _Wrong(path, "is no field", did_you_mean(str(path[-1]), names).strip())
    message = first["msg"]
    return _Wrong(path, f"is not usable: {message[0].lower()}{message[1:]}", "Mend it.")


def _look_at_steps(
    path: tuple[Any, ...],
    steps: Mapping[str, Step],
    inputs: Mapping[str, Input],
    outer: Mapping[str, Step],
    *,
    in_body: bool,
) -> None:
    for name, step in steps.items():
        here = (*path, name)
        if not STEP_NAME.fullmatch(name):
            raise _Wrong(
                here, "is no name for a step", "Take letters a-z, digits and _, beginning with a letter."
            )
        if name in outer:
            raise _Wrong(here, "has the name of a step around it", "Take another.")
        _look_at_kind(here, step)
        for index, other in enumerate(step.needs):
            if other not in steps:
                why = f'names no step: there is no "{other}"'
                raise _Wrong((*here, "needs", index), why, did_you_mean(other, steps).strip())
        around = {**outer, **steps}
        for field, template in step.templates():
            _look_at_template((*here, field), template, inputs, around, in_body=in_body)
        inner = {**around, **step.steps}
        for field, template in step.inner_templates():
            _look_at_template((*here, field), template, inputs, inner, in_body=True)
        if step.steps:
            _look_at_steps((*here, "steps"), step.steps, inputs, around, in_body=True)
    if round := circle(steps):
        raise _Wrong((*path, round[0]), f"waits for itself: {' → '.join(round)}", "Take one of these out.")


def _look_at_kind(path: tuple[Any, ...], step: Step) -> None:
    kinds = [kind for kind in KINDS if getattr(step, kind) not in ("", None, ())]
    repeats = kinds[:1] in (["map"], ["repeat"])
    if repeats:
        bodies = kinds[1:]
        if bodies not in ([], ["workflow"]) or bool(bodies) is bool(step.steps):
            raise _Wrong(path, f"is a {kinds[0]} without one body", "Give it either steps or a workflow.")
    elif len(kinds) != 1:
        why = f"is {' and '.join(kinds)} at once" if kinds else "does nothing"
        raise _Wrong(path, why, f"Give it one of: {', '.join(KINDS)}.")
    for field, kind in _OF_A_KIND:
        if field in step.model_fields_set and kinds[0] not in kind.split():
            raise _Wrong((*path, _shown(field)), f"is of no use to a step of kind {kinds[0]}", "Take it out.")
    if "{{" in step.workflow:
        raise _Wrong(
            (*path, "workflow"), "is a template, and must be a name", "Take steps with `when` instead."
        )
    if kinds == ["agent"] and not step.task:
        raise _Wrong(path, "has no task for its agent", 'Add task = "…".')
    if kinds == ["gate"] and not step.folder:
        raise _Wrong(path, "has no folder for its command", 'Add folder = "…".')
    if step.undo is not None and sum(map(bool, (step.undo.agent, step.undo.tool, step.undo.gate))) != 1:
        raise _Wrong((*path, "undo"), "is no action", "Give it one of: agent, tool, gate.")


_OF_A_KIND = (
    ("task", "agent"),
    ("workspace", "agent"),
    ("branch", "agent"),
    ("arguments", "tool workflow map repeat"),
    ("folder", "gate"),
    ("until", "repeat"),
    ("steps", "map repeat"),
    ("output", "map repeat"),
    ("concurrency", "map"),
)


def _look_at_template(
    path: tuple[Any, ...],
    template: Any,
    inputs: Mapping[str, Input],
    steps: Mapping[str, Step],
    *,
    in_body: bool,
) -> None:
    roots = ROOTS if in_body else ROOTS[:2]
    for root, key in _reads(path, template):
        if root not in roots:
            raise _Wrong(path, f'reads "{root}", which there is not', did_you_mean(root, roots).strip())
        if root == "inputs" and key and key not in inputs:
            cure = f"{did_you_mean(key, inputs).strip()} Or declare it: [inputs.{key}]."
            raise _Wrong(path, f'reads an input "{key}", which is not declared', cure)
        if root == "steps" and key not in steps:
            raise _Wrong(path, f'reads a step "{key}", which there is not', did_you_mean(key, steps).strip())


def _reads(path: tuple[Any, ...], template: Any) -> Iterator[tuple[str, str]]:
    try:
        for expression in expressions(template):
            yield from read(expression)
    except ExpressionInvalid as error:
        raise _Wrong(path, f"cannot be read: {error}", "Mend that expression.") from error


def _shown(field: str) -> str:
    return Action.model_fields[field].alias or field if field in Action.model_fields else field


def given(inputs: Mapping[str, Input], values: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of one start, with the defaults of those left out.

    Raises:
        InvalidArgument: one is missing, unknown, or of another type.
    """
    for name in values:
        if name not in inputs:
            cure = did_you_mean(name, inputs).strip()
            raise InvalidArgument("inputs", f'it has no input "{name}"', cure)
    missing = [name for name, row in inputs.items() if row.is_required and name not in values]
    if missing:
        raise InvalidArgument(
            "inputs", f"{' and '.join(missing)} must be given", "See them: show_workflow(name)."
        )
    whole = {name: values.get(name, row.default) for name, row in inputs.items()}
    for name, row in inputs.items():
        if name in values and not _fits(row.type, whole[name]):
            raise InvalidArgument(f"inputs.{name}", f"must be of type {row.type}", "Give it as that.")
    return whole


def _model_at(path: tuple[Any, ...]) -> type[BaseModel]:
    """What a field at a path is one of."""
    if "undo" in path[:-1]:
        return Action
    if "steps" in path[:-1]:
        return Step
    return Input if path[0] == "inputs" else Definition


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "any": (object,),
}


def _fits(type: str, value: Any) -> bool:
    return isinstance(value, _TYPES[type]) and (not isinstance(value, bool) or type in ("boolean", "any"))
