"""Parts of A2A as content of MCP: text as text, data as data, files as what a host can show or get. Pure."""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Iterable
from typing import Any

import mcp.types as t
from a2a.types import Artifact, Part
from google.protobuf.json_format import MessageToDict

BYTES = "application/octet-stream"


def uri_of(agent: str, task: str, artifact: str, number: int, filename: str) -> str:
    """What a file within an artifact is called."""
    return f"a2a://{agent}/tasks/{task}/{artifact}/{filename or number}"


def texts(parts: Iterable[Part]) -> str:
    """What a model reads of parts: their text, and their data as JSON."""
    found = []
    for part in parts:
        match part.WhichOneof("content"):
            case "text":
                found.append(part.text)
            case "data":
                found.append(json.dumps(data_of(part), ensure_ascii=False))
    return "".join(found) if all(part.WhichOneof("content") == "text" for part in parts) else "\n".join(found)


def data_of(part: Part) -> Any:
    """The JSON value of a part of data; whole numbers, which the protocol keeps as floats, are whole."""
    return _whole(MessageToDict(part.data))


def files(agent: str, task: str, artifact: Artifact) -> list[t.ContentBlock]:
    """The files of an artifact: those it holds are embedded, those it names are linked."""
    blocks: list[t.ContentBlock] = []
    for number, part in enumerate(artifact.parts):
        name = part.filename or artifact.name or artifact.artifact_id
        kind = part.media_type or mimetypes.guess_type(part.filename)[0] or BYTES
        match part.WhichOneof("content"):
            case "raw":
                uri = uri_of(agent, task, artifact.artifact_id, number, part.filename)
                blocks.append(_embedded(part.raw, kind, uri))
            case "url":
                blocks.append(t.ResourceLink(type="resource_link", name=name, uri=part.url, mime_type=kind))
    return blocks


def _embedded(raw: bytes, kind: str, uri: str) -> t.ContentBlock:
    data = base64.b64encode(raw).decode()
    if kind.startswith("image/"):
        return t.ImageContent(data=data, mime_type=kind)
    if kind.startswith("audio/"):
        return t.AudioContent(data=data, mime_type=kind)
    if kind.startswith("text/") or kind == "application/json":
        try:
            text = t.TextResourceContents(uri=uri, mime_type=kind, text=raw.decode("utf-8"))
            return t.EmbeddedResource(resource=text)
        except UnicodeDecodeError:
            pass
    return t.EmbeddedResource(resource=t.BlobResourceContents(uri=uri, mime_type=kind, blob=data))


def _whole(value: Any) -> Any:
    match value:
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
