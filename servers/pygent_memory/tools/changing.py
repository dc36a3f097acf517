"""The tools that change memories and forget them."""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from typing import Annotated

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field, WithJsonSchema

from pygent_memory.changing import Changing, change
from pygent_memory.forgetting import Forgetting
from pygent_memory.memories import Memories
from pygent_memory.memory import Kind, unicode_text
from pygent_memory.receipts import ForgetAnswer, UpdateAnswer
from pygent_memory.selecting import Selection, selection
from pygent_memory.spaces import Spaces
from pygent_memory.tools.arguments import some
from pygent_shared.errors import InvalidArgument
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer, answer

# Without the "or null" of what may be left out, which every model would read.
_STRINGS = WithJsonSchema({"type": "array", "items": {"type": "string"}})
_SHARE = WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
_BOOLEAN = WithJsonSchema({"type": "boolean"})


def add_changing(server: SuiteServer[Lazy[Memories]], memories: Lazy[Memories], spaces: Spaces) -> None:
    """Add the tools that change memories and forget them."""

    @server.tool(
        title="Change",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
        ),
    )
    def memory_update(
        id: str,
        text: str = "",
        tags: Annotated[list[str] | None, _STRINGS] = None,
        importance: Annotated[float | None, Field(ge=0, le=1), _SHARE] = None,
        pinned: Annotated[bool | None, _BOOLEAN] = None,
        valid_to: str = "",
        expires_at: str = "",
        ttl_days: float = 0,
        if_version: int = 0,
        undo: bool = False,
        space: str = "",
    ) -> Annotated[CallToolResult, UpdateAnswer]:
        """Change a memory. A new text makes a new memory in place of the old one, kept as the past; the
        answer names both. The rest changes in place: tags (all), importance, pinned, valid_to (until when it
        is true), expires_at or ttl_days (when to drop it). Dates are ISO 8601, or "never". if_version refuses
        if it changed since. undo takes the last change back.
        """
        name = spaces.writing(space)
        opened = memories.get()
        changing = Changing(opened)
        if not unicode_text(id, "id").strip():
            raise InvalidArgument("id", "is empty", "Take an id from memory_search or memory_add.")
        told = {
            "text": text,
            "tags": tags,
            "importance": importance,
            "pinned": pinned,
            "valid_to": valid_to,
            "expires_at": expires_at,
            "ttl_days": ttl_days,
        }
        if undo:
            if given := [key for key, value in told.items() if value not in ("", None, 0) or value is False]:
                raise InvalidArgument("undo", f"came together with {given[0]}", "Send one of the two.")
            changed = changing.undo(name, id, if_version)
        else:
            wanted = change(
                opened.now(),
                text=text,
                tags=tags,
                importance=importance,
                pinned=pinned,
                valid_to=valid_to,
                expires_at=expires_at,
                ttl_days=ttl_days,
            )
            changed = changing.change(name, id, wanted, if_version)
        data = UpdateAnswer.of(name, changed)
        return answer(data.summary(), data)

    @server.tool(
        title="Forget",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
        ),
    )
    def memory_forget(
        ids: list[str] = [],
        query: str = "",
        tags: list[str] = [],
        kinds: list[Kind] = [],
        since: str = "",
        before: str = "",
        conversation: str = "",
        about: str = "",
        everything: bool = False,
        confirm: str = "",
        dry_run: bool = False,
        hard: bool = False,
        undo: bool = False,
        space: str = "",
    ) -> Annotated[CallToolResult, ForgetAnswer]:
        """Take out memories that are wrong or unwanted: by ids at once, or by a filter (all must match;
        query: all its words; about: an entity or speaker). A filter only shows what it means: send it again
        with the confirm it answers. undo brings back ids, or what a confirm took out. hard deletes for good,
        with earlier versions and what was made of it. What is merely outdated: memory_update.
        """
        name = spaces.writing(space)
        forgetting = Forgetting(memories.get())
        wanted = selection(
            query=query,
            tags=tags,
            kinds=kinds,
            since=since,
            before=before,
            conversation=conversation,
            about=about,
            everything=everything,
        )
        _refuse_contradiction(ids, wanted, confirm=confirm, dry_run=dry_run, hard=hard, undo=undo)
        if undo and confirm:
            done = forgetting.restore_receipt(name, confirm, dry_run=dry_run)
            data = ForgetAnswer.of(name, list(done.states), done, undo=True, dry_run=dry_run)
        elif wanted and not confirm:
            data = ForgetAnswer.shown(name, forgetting.show(name, wanted, hard=hard), hard=hard)
        elif wanted:
            done = forgetting.confirmed(name, wanted, confirm, hard=hard)
            data = ForgetAnswer.of(name, list(done.states), done, hard=hard, confirm=confirm)
        else:
            act = forgetting.restore if undo else forgetting.erase if hard else forgetting.forget
            done = act(name, some(ids), dry_run=dry_run)
            data = ForgetAnswer.of(name, ids, done, undo=undo, hard=hard, dry_run=dry_run)
        return answer(data.summary(), data)


def _refuse_contradiction(
    ids: list[str], wanted: Selection, *, confirm: str, dry_run: bool, hard: bool, undo: bool
) -> None:
    """Raises:
    InvalidArgument: two arguments contradict each other, or nothing is named.
    """
    if hard and undo:
        cure = "Leave hard out to bring back what was forgotten without it."
        raise InvalidArgument("hard", "came together with undo, and what was deleted for good is gone", cure)
    if ids and (wanted or confirm):
        raise InvalidArgument("ids", "came together with a filter or its confirm", "Send one of the two.")
    if undo and wanted:
        cure = "Send ids, or the confirm of what was forgotten by a filter."
        raise InvalidArgument("undo", "came together with a filter", cure)
    if confirm and dry_run and not undo:
        raise InvalidArgument("dry_run", "came together with confirm", "Send one of the two.")
    if not ids and not wanted and not (undo and confirm):
        cure = "Send ids from memory_search, or a filter such as query or tags; everything=true for all."
        raise InvalidArgument(
            "confirm" if confirm else "ids", "comes with no filter" if confirm else "is empty", cure
        )
