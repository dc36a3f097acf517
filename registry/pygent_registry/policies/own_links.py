"""Links in what a server answers stay its own: see `links.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygent_registry.links import Links
from pygent_registry.policies import Handler, Policy, Request
from pygent_shared.tasks.wire import GET

OwnerOf = Callable[[Request, str], str | None]
"""The server whose a resource is, by what is listed to that request's host."""


def own_links(links: Links, owner_of: OwnerOf) -> Policy:
    """Note the resources that tools and prompts link to or hold, and give another's address a new one."""

    def policy(handler: Handler) -> Handler:
        async def handle(request: Request) -> dict[str, Any]:
            return own(request, await handler(request))

        def own(request: Request, result: dict[str, Any]) -> dict[str, Any]:
            if request.method == GET and isinstance(ended := result.get("result"), dict):
                return _changed(result, "result", own(request, ended))
            if isinstance(content := result.get("content"), list):
                return _changed(result, "content", [owned(request, block) for block in content])
            if isinstance(messages := result.get("messages"), list):
                return _changed(result, "messages", [_of_message(request, said) for said in messages])
            return result

        def owned(request: Request, block: Any) -> Any:
            match block:
                case {"type": "resource_link", "uri": str(uri)}:
                    return _changed(block, "uri", shown(request, uri))
                case {"type": "resource", "resource": {"uri": str(uri)} as inner}:
                    return _changed(block, "resource", _changed(inner, "uri", shown(request, uri)))
                case _:
                    return block

        def shown(request: Request, uri: str) -> str:
            return links.give(request.caller, request.server, uri, owner_of(request, uri))

        def _of_message(request: Request, said: Any) -> Any:
            inner = said.get("content") if isinstance(said, dict) else None
            return _changed(said, "content", owned(request, inner)) if isinstance(inner, dict) else said

        return handle

    return policy


def _changed(whole: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """With another value there, or as it is where nothing changed."""
    return whole if whole[key] == value else {**whole, key: value}
