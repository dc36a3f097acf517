"""One agent elsewhere: asked, followed, looked at, told to stop, over the SDK's client.

The one rule: what goes wrong becomes a sentence here (`AgentUnavailable`), and a stream that breaks is opened
again while its task goes on.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any
from uuid import uuid4

import anyio
import httpx
from a2a.client import Client, ClientCallContext, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
)
from a2a.utils.errors import (
    A2AError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from pygent_a2a.remote.card import BINDINGS, Card, fetched, locked_out, unreached
from pygent_a2a.remote.remotes import Remote
from pygent_a2a.remote.told import Told
from pygent_a2a.remote.wire import Learn, Wire
from pygent_shared.errors import AgentUnavailable, IllegalMove, InvalidArgument

log = logging.getLogger(__name__)

Headers = Mapping[str, str]
Tell = Callable[[], Awaitable[None]]

CALL_SECONDS = 30.0
"""How long an agent may take over what it should answer at once: a look, a cancellation."""
# Between looks at a task that nothing is heard of: the first pause, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
MOST_BREAKS = 5
MOST_BYTES = 64 * 2**20
_LONGEST_REASON = 500


class Agent:
    """An agent elsewhere. `open` comes first."""

    def __init__(self, remote: Remote, learn: Learn = lambda token: None) -> None:
        self.remote = remote
        self._wire = Wire(remote, learn)
        self._http = self._wire.client()
        self._card: Card | None = None
        self._client: Client | None = None

    @property
    def card(self) -> Card:
        assert self._card is not None, "open() comes first"
        return self._card

    @property
    def is_open(self) -> bool:
        return self._card is not None

    async def open(self) -> bool:
        """Fetch its card; whether that is another one than before.

        Raises:
            AgentUnavailable: there is none to be had.
        """
        card = await fetched(self.remote, self._http)
        if self._card is not None and self._card.facts == card.facts:
            return False
        config = ClientConfig(httpx_client=self._http, supported_protocol_bindings=[*BINDINGS])
        try:
            self._client = ClientFactory(config).create(card.spoken)
        except ValueError as error:
            why = f"cannot be spoken to: {', '.join(card.facts['interfaces'])}"
            raise AgentUnavailable(self.remote.name, why, "Ask its makers for protocol 1.0") from error
        self._card = card
        return True

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self, told: Told, tell: Tell, text: str, *, context: str, task: str, headers: Headers
    ) -> None:
        """Say something to it, and hear it out. `tell` is called whenever there is more in `told`.

        Raises:
            AgentUnavailable, InvalidArgument, IllegalMove: it cannot be said, or nothing is heard any more.
        """
        message = Message(
            message_id=uuid4().hex,
            role=Role.ROLE_USER,
            parts=[Part(text=text)],
            context_id=context,
            task_id=task,
        )
        request = SendMessageRequest(message=message)
        request.configuration.return_immediately = not self._streams
        with self._mapped(task):
            events = self._spoken.send_message(request, context=_call(headers))
            await self._heard(told, tell, events, headers)

    async def follow(self, told: Told, tell: Tell, task: str, headers: Headers) -> None:
        """Hear a task out that goes on.

        Raises:
            AgentUnavailable, InvalidArgument: there is no such task, or nothing is heard any more.
        """
        with self._mapped(task):
            await self._heard(told, tell, self._again(task, headers), headers)

    async def look(self, task: str, headers: Headers) -> Told:
        """A task as it stands.

        Raises:
            AgentUnavailable, InvalidArgument: there is no such task, or nobody answers.
        """
        with self._mapped(task):
            found = await self._spoken.get_task(GetTaskRequest(id=task), context=_call(headers, CALL_SECONDS))
        return Told.after(found)

    async def cancel(self, task: str, headers: Headers) -> Told:
        """Tell it to stop a task.

        Raises:
            AgentUnavailable, InvalidArgument, IllegalMove: there is none to be stopped, or nobody answers.
        """
        with self._mapped(task):
            found = await self._spoken.cancel_task(
                CancelTaskRequest(id=task), context=_call(headers, CALL_SECONDS)
            )
        return Told.after(found)

    @property
    def _spoken(self) -> Client:
        assert self._client is not None, "open() comes first"
        return self._client

    @property
    def _streams(self) -> bool:
        return self.card.agent.capabilities.streaming

    async def _heard(
        self, told: Told, tell: Tell, events: AsyncIterator[StreamResponse], headers: Headers
    ) -> None:
        """Take over events until nothing more is to come; where they break off, from the task itself."""
        breaks, pause, heard_bytes = 0, FIRST_PAUSE, 0
        while True:
            try:
                async with aclosing(events) as heard:  # type: ignore[type-var]
                    async for event in heard:
                        heard_bytes += event.ByteSize()
                        if heard_bytes > MOST_BYTES:
                            why = f"says more than {MOST_BYTES >> 20} MiB about one task"
                            raise AgentUnavailable(self.remote.name, why, "Ask it for less at a time")
                        told.apply(event)
                        await tell()
                breaks = 0
            except A2AError as error:
                breaks += 1
                if not told.task_id or not _may_come_back(error) or breaks > MOST_BREAKS:
                    raise
                log.info('Agent "%s": its stream broke off: %s', self.remote.name, error)
            if told.is_settled:
                return
            if not told.task_id:
                raise AgentUnavailable(self.remote.name, "ended its answer without a task or a message")
            await anyio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
            events = self._again(told.task_id, headers)

    async def _again(self, task: str, headers: Headers) -> AsyncIterator[StreamResponse]:
        """The task as it stands, and what comes next of it where the agent streams."""
        found = await self._spoken.get_task(GetTaskRequest(id=task), context=_call(headers, CALL_SECONDS))
        yield StreamResponse(task=found)
        if self._streams and not Told.after(found).is_settled:
            try:
                async for event in self._spoken.subscribe(
                    SubscribeToTaskRequest(id=task), context=_call(headers)
                ):
                    yield event
            except UnsupportedOperationError:
                return  # it ended between the two

    @contextmanager
    def _mapped(self, task: str) -> Iterator[None]:
        """What the SDK raises becomes a sentence."""
        name = self.remote.name
        try:
            yield
        except TaskNotFoundError as error:
            raise no_such_task(name, task) from error
        except TaskNotCancelableError as error:
            raise IllegalMove(f'The task "{task}"', "over", "stopped", "Nothing is to be done") from error
        except (UnsupportedOperationError, InvalidParamsError) as error:
            cure = "If its task is over, leave task out, and name its context to go on from it"
            raise AgentUnavailable(name, f"does not take that: {_reason(error)}", cure) from error
        except A2AError as error:
            raise self._failure(error) from error

    def _failure(self, error: A2AError) -> AgentUnavailable:
        match error.__cause__:
            case httpx.HTTPStatusError(response=response) if response.status_code in (401, 403):
                return locked_out(self.remote, response.status_code, self.card.schemes)
            case httpx.HTTPStatusError(response=response):
                return AgentUnavailable(
                    self.remote.name, f"answered {response.status_code} {response.reason_phrase}".rstrip()
                )
            case httpx.RequestError() as cause:
                return unreached(self.remote, str(cause.request.url), cause)
            case _:
                return AgentUnavailable(self.remote.name, f"answered with an error: {_reason(error)}")


def no_such_task(agent: str, task: str) -> InvalidArgument:
    """That an agent does not know a task, or that it is not the caller's, which nobody is to tell apart."""
    why = f'agent "{agent}" has no such task, "{task}"'
    return InvalidArgument("task", why, "Name one that it gave you, or leave it out to begin anew.")


def _call(headers: Headers, seconds: float | None = None) -> ClientCallContext:
    parameters: Any = dict(headers) or None
    return ClientCallContext(service_parameters=parameters, timeout=seconds)


def _may_come_back(error: A2AError) -> bool:
    """Whether an error is of the connection, and not the agent's word."""
    return isinstance(error.__cause__, httpx.RequestError)


def _reason(error: A2AError) -> str:
    text = " ".join(str(error.message or type(error).__name__).split())
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "…"
