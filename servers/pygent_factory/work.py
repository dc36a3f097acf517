"""The work of a run: the workflow that the engine carries out, and does again from its start after a crash.

The one rule: what touches the world, the clock or chance is a step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pygent_factory import means
from pygent_factory.budgets import Spent, limits
from pygent_factory.means import At
from pygent_factory.spec import Spec
from pygent_factory.user import Declined, Replied, ToUser, offered
from pygent_factory.workspace.tools import DEFINITIONS, WorkspaceTools
from pygent_factory.workspace.workspaces import Workspaces
from pygent_shared.caller import acting_for
from pygent_shared.durable.failure import Failed
from pygent_shared.errors import InvalidArgument, PygentError
from pygent_shared.models.table import Table
from pygent_shared.peers import Peers

if TYPE_CHECKING:
    from pygent_factory.thinker import Thinker
    from pygent_factory.tools import PeerTools


class Work:
    """What runs do in this process.

    Args:
        peers: whose tools agents use; None where this server stands alone.
        offered: those tools, and the factory's own.
        workspaces: where agents work on a repository.
        models: a file of models to choose from, before those that are shipped; "" is none.
        before: what an agent has spent before one of its runs.
    """

    def __init__(
        self,
        peers: Peers | None,
        offered: Peers,
        workspaces: Workspaces,
        models: str,
        before: Callable[[str], Awaitable[Spent]],
    ) -> None:
        self._peers = peers
        self._offered = offered
        self._workspaces = workspaces
        self._models = models
        self._before = before
        self.at: dict[str, At] = {}
        """What the runs that are at work here are at."""

    @contextmanager
    def beginning(self, run: str) -> Iterator[None]:
        """Have a run count as at work while it is begun, and from then on."""
        self.at[run] = At()
        try:
            yield
        except BaseException:
            self.at.pop(run, None)
            raise

    async def tools(self, spec: Spec, *, own: bool) -> list[dict[str, Any]]:
        """The definitions of the tools of a spec, those of a workspace (`own`) included.

        Raises:
            InvalidArgument: a pattern matches nothing.
        """
        from pygent_factory.tools import matching, unmatched

        if not spec.tools:
            return []
        own_tools = [*(DEFINITIONS if own else ()), *offered(spec.tools)]
        definitions = [*await self._offered.list_tools(), *own_tools]
        missing = unmatched(spec.tools, definitions)
        if missing and self._peers is not None:
            known = ", ".join(sorted({item["name"].partition("__")[0] for item in definitions}))
            why = f"{missing[0]!r} matches no tool; there are those of {known}"
            raise InvalidArgument("tools", why, "See them: pygent list. Then configure_agent(…, tools=[…]).")
        return [dict(item) for item in matching(spec.tools, definitions)]

    async def run(
        self,
        spec_data: dict[str, Any],
        task: str,
        history: list[Any],
        asked: dict[str, Any] | None = None,
        of: dict[str, Any] | None = None,
        asks: bool = False,
    ) -> dict[str, Any]:
        """The workflow, with the rights `of` whoever began it, and whether they can be asked (`asks`)."""
        with acting_for(of):
            return await self._done(spec_data, task, history, asked, asks)

    async def _done(
        self,
        spec_data: dict[str, Any],
        task: str,
        history: list[Any],
        asked: dict[str, Any] | None,
        asks: bool,
    ) -> dict[str, Any]:
        """The answer, or the error, with all that was said and done."""
        from pydantic_ai.messages import ModelMessagesTypeAdapter

        from pygent_factory.thinker import Thinker
        from pygent_factory.tools import PeerTools
        from pygent_shared.durable import workflow

        spec = Spec.model_validate(spec_data)
        definitions = await workflow.step("list tools", lambda: self.tools(spec, own=asked is not None))
        said = ModelMessagesTypeAdapter.validate_python(history)
        run = workflow.workflow_id()
        at = self.at.setdefault(run, At())
        worktree = None
        try:
            needs = means.needed(spec, definitions, task, history)
            before = await self._spent_before(run) if limits("allowance", spec.allowance) else None
            try:
                given = await means.begun(spec, needs, Table(self._models), before, at)
            except (Failed, PygentError) as error:  # what was there when it was begun is gone
                return {"error": str(error)}

            async def solved(peers: Peers) -> dict[str, Any]:
                timed = means.InTime(peers, given.deadline)
                user = ToUser(at.speak, asks=asks)
                tools = PeerTools(timed, definitions, at.tell, user, spec.memory_space)
                return await _solved(spec, task, Thinker(spec, given, tools, said, at.tell), tools)

            if asked is None:
                return await solved(self._offered)
            worktree = await self._workspaces.begin(run, asked)
            ended = await solved(WorkspaceTools(worktree, self._offered))
            ended["trace"]["workspace"] = await self._workspaces.keep(run, worktree, asked, task)
            return ended
        except BaseException as error:
            if worktree and workflow.is_stopped(error):
                await self._workspaces.stopped(run, worktree, task)
            raise
        finally:
            self.at.pop(run, None)

    async def _spent_before(self, run: str) -> Spent:
        """What the agent has spent before a run: a step of it."""
        from pygent_shared.durable import workflow

        async def spent() -> dict[str, Any]:
            return asdict(await self._before(run))

        return Spent(**await workflow.step("spent before", spent))


async def _solved(spec: Spec, task: str, thinker: Thinker, tools: PeerTools) -> dict[str, Any]:
    """What an agent made of its task: the answer or the error, and all that was said and done."""
    from pydantic_ai.exceptions import AgentRunError, UserError

    from pygent_factory.strategies import table
    from pygent_factory.tools import Stuck

    try:
        async with thinker.thinking():
            answer = await table(spec.strategy)(thinker, await tools.reminded(task))
            answer = await thinker.supported(answer)
    except Replied as done:
        return {"answer": str(done), "trace": thinker.trace()}
    except Declined as error:
        return {"error": str(error), "declined": True, "trace": thinker.trace()}
    except Stuck as error:
        return {"error": f"The run was stopped: {error}.", "trace": thinker.trace()}
    except (AgentRunError, UserError, Failed, PygentError) as error:
        return {"error": str(error), "trace": thinker.trace()}
    return {"answer": answer, "trace": thinker.trace()}
