"""`key=value` words as a tool's arguments, by the tool's own JSON Schema.

The one rule: where a text is allowed, what was typed stays as typed, unless the schema also allows something
else that it reads as. Ranges, lengths and patterns are left to the tool.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pygent_shared.errors import FileRefused, InvalidArgument, UnknownName, did_you_mean

Schema = Mapping[str, Any]

_EXAMPLES = {
    "integer": ("a whole number", "3"),
    "number": ("a number", "0.5"),
    "boolean": ("true or false", "true"),
    "array": ("a list in JSON", """'["a", "b"]'"""),
    "object": ("an object in JSON", """'{"a": 1}'"""),
    "null": ("null", "null"),
}
_NOTHING = object()


def split(words: Sequence[str]) -> dict[str, str]:
    """`key=value` words, by key.

    Raises:
        InvalidArgument: a word is not of that form, or a key comes twice.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise InvalidArgument(word, "is no key=value", "Quote a value with blanks: key='some words'")
        if key in found:
            raise InvalidArgument(key, "is given twice", "Give several values as one list in JSON.")
        found[key] = text
    return found


def filled(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts with `@file` replaced by that file's text, and `@@` at a beginning by `@`.

    Raises:
        FileRefused: a file cannot be read, or is not UTF-8.
    """
    return {key: _filled(key, text) for key, text in texts.items()}


def _filled(key: str, text: str) -> str:
    if not text.startswith("@"):
        return text
    if text.startswith("@@"):
        return text[1:]
    path, cure = Path(text[1:]).expanduser(), f"For a text that begins with @, type {key}=@{text}"
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileRefused(path, f"cannot be read: {error.strerror}", cure) from error
    except UnicodeDecodeError as error:
        raise FileRefused(path, "is not UTF-8 text", "Save it as UTF-8.") from error


def typed(texts: Mapping[str, str], schema: Schema, tool: str) -> dict[str, Any]:
    """The texts as the arguments that `tool`'s `inputSchema` describes.

    Raises:
        UnknownName: the tool has no such argument.
        InvalidArgument: a value does not fit, or one that is needed is missing.
    """
    properties: Mapping[str, Any] = schema.get("properties") or {}
    others = schema.get("additionalProperties", not properties)
    for key in texts:
        if key not in properties and not isinstance(others, Mapping) and not others:
            raise UnknownName("argument", key, properties, f"See {tool}: pygent list --json")
    for key in schema.get("required") or ():
        if key not in texts:
            raise InvalidArgument(key, f"is missing, and {tool} needs it", f"Add: {key}=…")
    rest = others if isinstance(others, Mapping) else {}
    return {key: value(key, text, properties.get(key, rest), schema) for key, text in texts.items()}


def value(key: str, text: str, schema: Schema, root: Schema) -> Any:
    """One text as the value that its schema describes; `root` is where the schema's `$ref`s point.

    Raises:
        InvalidArgument: it does not fit.
    """
    parts = list(_parts(schema, root, set()))
    choices = [choice for part in parts for choice in _choices(part)]
    kinds = {kind for part in parts for kind in _kinds(part)} or {_kind(choice) for choice in choices}
    found = _read(text, kinds)
    if found is _NOTHING:
        raise _misfit(key, text, kinds)
    if choices and found not in choices and not any("type" in part and not _choices(part) for part in parts):
        known = [choice if isinstance(choice, str) else json.dumps(choice) for choice in choices]
        raise InvalidArgument(key, f"cannot be {text!r}", did_you_mean(text, known).strip())
    return found


def _parts(schema: Any, root: Schema, followed: set[str]) -> Iterator[Schema]:
    """The alternatives a schema is made of, references followed: each once, as they may lead in circles."""
    if not isinstance(schema, Mapping):
        return
    branches = [branch for word in ("anyOf", "oneOf", "allOf") for branch in schema.get(word) or ()]
    pointer = schema.get("$ref")
    if isinstance(pointer, str) and pointer not in followed:
        followed.add(pointer)
        branches.append(_pointed(pointer, root))
    if not branches and pointer is None:
        yield schema
    for branch in branches:
        yield from _parts(branch, root, followed)


def _pointed(pointer: str, root: Schema) -> Any:
    """What a local `$ref` such as `#/$defs/Kind` points to; an empty schema for any other."""
    found: Any = root
    for step in pointer.removeprefix("#").split("/")[1:]:
        found = (
            found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
        )
    return {} if found is root else found


def _kinds(schema: Schema) -> list[str]:
    kind = schema.get("type") or ()
    return [kind] if isinstance(kind, str) else list(kind)


def _choices(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum") or ())


def _read(text: str, kinds: set[str]) -> Any:
    """The text as one of these JSON types (any, if there are none), or `_NOTHING`."""
    found = _from_json(text)
    if not kinds:
        return text if found is _NOTHING else found
    kind = _kind(found)
    if kind in kinds - {"string", "null"}:
        return found
    if kind == "integer" and "number" in kinds:
        return found
    if kind == "number" and "integer" in kinds and found.is_integer():
        return int(found)
    if "string" in kinds:
        return text
    return None if kind == "null" and "null" in kinds else _NOTHING


def _from_json(text: str) -> Any:
    lowered = text.lower()
    try:
        found = json.loads(lowered if lowered in ("true", "false") else text)
    except (ValueError, RecursionError):
        return _NOTHING
    return _NOTHING if isinstance(found, float) and not math.isfinite(found) else found


def _kind(found: object) -> str:
    """The JSON type of a value; "" for `_NOTHING`."""
    match found:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return ""


def _misfit(key: str, text: str, kinds: set[str]) -> InvalidArgument:
    wanted = [_EXAMPLES[kind] for kind in _EXAMPLES if kind in kinds]
    words = " or ".join(name for name, _ in wanted) or "something else"
    example = wanted[0][1] if wanted else "…"
    came = text if len(text) <= 60 else text[:60] + "…"
    return InvalidArgument(key, f"is {came!r}, but it must be {words}", f"Such as: {key}={example}")
