"""The three tools of search mode: what they take and what they say. Pure.

Each class is one tool: its docstring and the descriptions of its fields are what the model reads.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pygent_registry.catalogue import Definition
from pygent_registry.search.ranking import Tool
from pygent_shared.errors import InvalidArgument

CHARACTERS_PER_TOKEN = 4
READ = ("name", "description", "inputSchema")
"""What a model is given of a tool's definition."""
LONGEST_SUMMARY = 200
MOST_NAMED = 60

Detail = Literal["name", "summary", "schema"]


def _object(value: object) -> object:
    """Models often write an object as a string of JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value or "{}")
    except json.JSONDecodeError:
        return value


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SearchTools(_Arguments):
    """Find tools by what they do. Most tools here are not listed: search before you say that something
    cannot be done.

    Describe one step in plain words ("create a GitHub issue", "read a PDF"); for a task of several steps
    search once for each. Answers the tools that fit, best first within their server, each with a score from
    0 to 1; when nothing fits it says so, and then there is no such tool. Use a hit with call_tool.
    """

    query: str = Field(min_length=1, description="What the tool should do: one step, in plain words.")
    limit: int = Field(default=8, ge=1, le=50, description="The most tools to answer.")
    detail: Detail = Field(
        default="summary",
        description="How much of each tool: its name; a sentence too; or all, with the schema to call it by.",
    )
    server: str = Field(default="", description="Search the tools of this server only; empty: of all.")


class DescribeTool(_Arguments):
    """Read one tool's whole definition: its description, and the schema of the arguments it takes. Do this
    before you call a tool that you have not called before.
    """

    name: str = Field(description="The tool's name as search_tools gave it, such as github__create_issue.")


class CallTool(_Arguments):
    """Call any tool by its name, listed or not, and get that tool's own result. When its arguments are
    refused, the schema it takes them by comes with the error: mend them and call again.
    """

    name: str = Field(description="The tool's name as search_tools gave it, such as github__create_issue.")
    arguments: Annotated[dict[str, Any], BeforeValidator(_object)] = Field(
        default_factory=dict, description="The tool's own arguments, by its schema (see describe_tool)."
    )


_READS = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
# What a call does is the called tool's affair: of it the worst must be thought.
_ACTS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}

TOOLS: Mapping[str, tuple[type[_Arguments], Mapping[str, bool]]] = {
    "search_tools": (SearchTools, _READS),
    "describe_tool": (DescribeTool, _READS),
    "call_tool": (CallTool, _ACTS),
}
NAMES = frozenset(TOOLS)


def definitions(servers: Iterable[str]) -> dict[str, Definition]:
    """The three tools as hosts are shown them; the search names the servers that it searches."""
    shown = {name: _definition(name) for name in TOOLS}
    if named := _named(servers):
        shown["search_tools"]["description"] += f"\n\nServers: {named}."
    return shown


def parse(name: str, arguments: Mapping[str, Any]) -> _Arguments:
    """The arguments of one of the three.

    Raises:
        InvalidArgument: they do not fit.
    """
    kind, _ = TOOLS[name]
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        finding = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in finding["loc"]) or "arguments"
        takes = ", ".join(kind.model_fields)
        raise InvalidArgument(
            place, finding["msg"], f"{name} takes {takes}. Mend that and call it again."
        ) from error


def tokens(shown: Iterable[Definition]) -> int:
    """About how many tokens the definitions take of the model's context.

    Counted is what the interfaces of the models take of a tool: its name, what it is for, and its arguments.
    What it answers with, and its annotations, stay with the host.
    """
    read = [{key: tool[key] for key in READ if key in tool} for tool in shown]
    return len(json.dumps(read, ensure_ascii=False)) // CHARACTERS_PER_TOKEN


# Answers.


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A tool that fits."""

    tool: Tool
    score: float
    definition: Definition


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found."""

    query: str
    hits: Sequence[Hit]
    searched: int
    servers: Sequence[str]
    """All that were searched."""
    nearest: float
    """The best score of all, which may be under the floor."""
    floor: float
    why_lexical: str = ""
    """Why there were no vectors; empty where there were."""
    pending: int = 0
    """How many definitions had no vector yet, and were ranked by their words alone."""


def search_result(found: Found, detail: Detail) -> dict[str, Any]:
    """The answer of `search_tools`: a text for the model, the data for programs."""
    data: dict[str, Any] = {
        "retrieval": "lexical" if found.why_lexical else "hybrid",
        "searched": found.searched,
        "servers": [
            {"server": server, "tools": [_hit_data(hit, detail) for hit in hits]}
            for server, hits in _by_server(found.hits).items()
        ],
    }
    if found.why_lexical:
        data["why"] = found.why_lexical
    if found.pending:
        data["pending"] = found.pending
    return {**text_result("\n".join(_lines(found, detail))), "structuredContent": data}


def text_result(text: str) -> dict[str, Any]:
    """A tool's result that is a text."""
    return {"content": [{"type": "text", "text": text}], "isError": False}


def described(definition: Definition, server: str) -> str:
    """A whole definition, as `describe_tool` answers it."""
    head = f"{definition['name']} (server {server})"
    rest = {key: value for key, value in definition.items() if key not in ("name", "icons", "_meta")}
    return f"{head}\n{json.dumps(rest, ensure_ascii=False)}\nCall it: call_tool(name, arguments)."


def with_schema(result: dict[str, Any], definition: Definition) -> dict[str, Any]:
    """An error about arguments, with the schema that they must meet."""
    schema = json.dumps(definition.get("inputSchema") or {}, ensure_ascii=False)
    more = {"type": "text", "text": f"{definition['name']} takes its arguments by this schema: {schema}"}
    return {**result, "content": [*result.get("content", ()), more], "isError": True}


_ABOUT_ARGUMENTS = re.compile(
    r"validation error|validation failed|invalid[ _](arguments?|params?|parameters?|input|type)|-32602"
    r"|cannot use these arguments|has no argument|missing (a )?required|(field|argument|parameter|property) "
    r"(is )?required|required (field|argument|parameter|property)|unexpected (keyword )?argument",
    re.IGNORECASE,
)


def refuses_arguments(
    result: Mapping[str, Any], arguments: Mapping[str, Any], schema: Mapping[str, Any]
) -> bool:
    """Whether an error result is about the call's arguments: it says so, or they plainly break the schema."""
    if not result.get("isError"):
        return False
    known = schema.get("properties") or {}
    closed = schema.get("additionalProperties") is False
    if any(name not in arguments for name in schema.get("required") or ()):
        return True
    if closed and any(name not in known for name in arguments):
        return True
    said = " ".join(str(part.get("text", "")) for part in result.get("content", ()))
    return bool(_ABOUT_ARGUMENTS.search(said))


def _definition(name: str) -> Definition:
    kind, hints = TOOLS[name]
    schema = kind.model_json_schema()
    for part in (schema, *schema["properties"].values()):
        part.pop("title", None)
    del schema["description"]
    description = inspect.getdoc(kind)
    return {"name": name, "description": description, "inputSchema": schema, "annotations": dict(hints)}


def _named(servers: Iterable[str]) -> str:
    every = list(servers)
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    return ", ".join(every[:MOST_NAMED]) + more


def _by_server(hits: Iterable[Hit]) -> dict[str, list[Hit]]:
    """The server of the best hit first."""
    grouped: dict[str, list[Hit]] = {}
    for hit in hits:
        grouped.setdefault(hit.tool.server, []).append(hit)
    return grouped


def _hit_data(hit: Hit, detail: Detail) -> dict[str, Any]:
    data: dict[str, Any] = {"name": hit.tool.shown, "score": round(hit.score, 3)}
    if detail == "summary":
        data["description"] = _summary(hit.tool)
    if detail == "schema":
        data["description"] = hit.tool.description
        data["inputSchema"] = hit.definition.get("inputSchema") or {}
    return data


def _lines(found: Found, detail: Detail) -> Iterable[str]:
    if found.hits:
        yield f"{len(found.hits)} of {found.searched} tools, with how well they fit (0 to 1):"
        for server, hits in _by_server(found.hits).items():
            yield f"{server}:"
            for hit in hits:
                yield _line(hit, detail)
    else:
        yield (
            f'No tool fits "{found.query}": the nearest of {found.searched} scores {found.nearest:.2f}, '
            f"under {found.floor:g}. Say one step in other words; if that finds nothing, there is no tool "
            f"for it. Servers: {_named(found.servers)}."
        )
    if found.why_lexical:
        yield f"Compared by words, not by meaning: {found.why_lexical}. Try synonyms where this misses."
    elif found.pending:
        yield f"{found.pending} definitions are not embedded yet and were compared by words alone."


def _line(hit: Hit, detail: Detail) -> str:
    line = f"  {hit.tool.shown} {hit.score:.2f}"
    if detail == "summary":
        return f"{line} {_summary(hit.tool)}".rstrip()
    if detail == "schema":
        schema = json.dumps(hit.definition.get("inputSchema") or {}, ensure_ascii=False)
        return f"{line} {hit.tool.description}\n    {schema}"
    return line


def _summary(tool: Tool) -> str:
    said = tool.summary
    return said if len(said) <= LONGEST_SUMMARY else f"{said[: LONGEST_SUMMARY - 1]}…"
