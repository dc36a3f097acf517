"""The tool of consolidation: pages out, answers in.

One tool, because one is enough: what it takes is the answer to what it gave, so each call brings the next
page, a page is taken whole or not at all, and a run can be taken back exactly. Facts may also come by
memory_add with `derived_from`; turns they name are handed out no more.
"""
# ruff: noqa: B006 - pydantic copies a tool's defaults at every call

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from pygent_memory.consolidation.answers import WorklistAnswer, page_text
from pygent_memory.consolidation.consolidation import PAGE_TOKENS, Consolidation
from pygent_memory.consolidation.judge import Answers, Judged, Verdict
from pygent_memory.memories import Memories
from pygent_memory.memory import Draft, draft, unicode_text
from pygent_memory.spaces import Spaces
from pygent_memory.tools.arguments import Space
from pygent_shared.errors import InvalidArgument
from pygent_shared.lazy import Lazy
from pygent_shared.server import SuiteServer, answer

MOST = 200
"""Judgements, and facts, of a call."""


class Judgement(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[str]
    verdict: Verdict


class Fact(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    derived_from: list[str] = Field(description="Ids it was made of.")
    kind: Literal["semantic", "procedural", "episodic", "summary"] = "semantic"
    occurred_at: str = ""
    tags: list[str] = []
    replaces: list[str] = Field(default=[], description="Ids that hold no longer.")


def add_worklist(server: SuiteServer[Lazy[Memories]], memories: Lazy[Memories], spaces: Spaces) -> None:
    """Add the tool of consolidation."""

    @server.tool(
        title="Consolidate",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
        ),
    )
    def memory_worklist(
        context: Context[Lazy[Memories]],
        judged: Annotated[list[Judgement], Field(description="Verdicts on items of the page before.")] = [],
        facts: Annotated[list[Fact], Field(description="What was made of its turns.")] = [],
        run: Annotated[str, Field(description="The run to go on with, as answered. Empty begins one.")] = "",
        undo: Annotated[bool, Field(description="Take back all that run did.")] = False,
        max_tokens: Annotated[int, Field(ge=100, le=50_000)] = PAGE_TOKENS,
        space: Space = "",
    ) -> Annotated[CallToolResult, WorklistAnswer]:
        """Consolidate memories: judge the ones that are alike, and take lasting facts from conversations.

        Call it without arguments for a page of the worklist; the page says how to answer. Send the answers
        with the next call, which brings the next page. Nothing told is changed: facts are kept beside it,
        and what is outdated is only replaced.
        """
        name = spaces.writing(space)
        consolidation = Consolidation(memories.get())
        if undo:
            if judged or facts:
                raise InvalidArgument("undo", "came together with answers", "Send one of the two.")
            undone = consolidation.undo(name, unicode_text(run, "run"))
            data = WorklistAnswer.undone(name, run, undone)
            return answer(data.taken_back(), data)
        answers = Answers(judged=_judged(judged), facts=_facts(facts))
        taken = consolidation.take(name, answers, run=unicode_text(run, "run"), judge=_client(context))
        page = consolidation.page(name, max_tokens)
        data = WorklistAnswer.of(name, page, taken)
        text = page_text(name, page, taken.run)
        return answer(f"{data.receipt(taken.judged)}\n\n{text}" if judged or facts else text, data)


def _judged(judged: Sequence[Judgement]) -> list[Judged]:
    _refuse_many("judged", judged)
    return [
        Judged(about=tuple(unicode_text(id, f"judged[{n}].ids") for id in one.ids), verdict=one.verdict)
        for n, one in enumerate(judged)
    ]


def _facts(facts: Sequence[Fact]) -> list[Draft]:
    _refuse_many("facts", facts)
    return [
        draft(
            fact.text,
            kind=fact.kind,
            tags=fact.tags,
            occurred_at=fact.occurred_at,
            trust="derived",
            derived_from=[unicode_text(id, f"facts[{number}].derived_from") for id in fact.derived_from],
            replaces=[unicode_text(id, f"facts[{number}].replaces") for id in fact.replaces],
            place=f"facts[{number}].",
        )
        for number, fact in enumerate(facts)
    ]


def _refuse_many(name: str, sent: Sequence[object]) -> None:
    if len(sent) > MOST:
        raise InvalidArgument(name, f"holds {len(sent)}", f"Send at most {MOST} a call.")


def _client(context: Context[Lazy[Memories]]) -> str:
    """The name of the program that calls, as it gave it."""
    info = context.session.client_params and context.session.client_params.client_info
    return info.name if info else ""
