"""Clients of the protocol's versions 0.2 and 0.3, at the URLs of 1.0: the SDK's adapter for 0.3, with what
it lacks for those clients.

0.2.1 is a part of 0.3: the same methods but for two, that a client without a config's id may ask for a task's
push config, and that the extended card is a plain GET. So are the two older paths of the cards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from a2a.compat.v0_3.jsonrpc_adapter import JSONRPC03Adapter
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes.common import DefaultServerCallContextBuilder, ServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.types.a2a_pb2 import GetExtendedAgentCardRequest, ListTaskPushNotificationConfigsRequest
from a2a.utils.errors import A2AError
from pydantic import ValidationError
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pygent_a2a.tasks import VERSION

OLD_CARD = "/.well-known/agent.json"
OLD_EXTENDED_CARD = "/agent/authenticatedExtendedCard"
LEGACY = "pygent.legacy"
"""Under what the state of a call says that it came from such a client."""
GRACE_SECONDS = 2.0

_GET_CONFIG = "tasks/pushNotificationConfig/get"
_DELETE_CONFIG = "tasks/pushNotificationConfig/delete"


class Versions(ServerCallContextBuilder):
    """Reads the version that a client speaks from the URL too, where the protocol lets it stand.

    Args:
        inner: builds the rest.
    """

    def __init__(self, inner: ServerCallContextBuilder | None = None) -> None:
        self._inner = inner or DefaultServerCallContextBuilder()

    def build(self, request: Request) -> ServerCallContext:
        context = self._inner.build(request)
        version = request.query_params.get("A2A-Version")
        headers = context.state.get("headers", {})
        if version and VERSION not in headers:
            context.state["headers"] = {**headers, VERSION: version}
        return context


def rpc_routes(
    handler: RequestHandler, url: str, contexts: ServerCallContextBuilder | None = None, *, old: bool = True
) -> list[Route]:
    """JSON-RPC for every version that is served.

    Args:
        url: the path.
        contexts: builds the context of a call.
        old: serve 0.2 and 0.3.
    """
    contexts = Versions(contexts)
    dispatcher = JsonRpcDispatcher(handler, contexts, old, GRACE_SECONDS)
    if old:
        dispatcher._v03_adapter = Adapter(handler, contexts, GRACE_SECONDS)
    return [Route(url, dispatcher.handle_requests, methods=["POST"])]


class Adapter(JSONRPC03Adapter):
    """The SDK's, which misses what 0.2.1 asks for and answers some requests against the schema."""

    def __init__(self, handler: RequestHandler, contexts: ServerCallContextBuilder, grace: float) -> None:
        super().__init__(handler, contexts, grace)
        self._requests = handler

    async def handle_request(
        self, request_id: str | int | None, method: str, body: dict[str, Any], request: Request
    ) -> JSONResponse | EventSourceResponse:
        if method == _GET_CONFIG:
            await self._name_config(body, request)
        try:
            self.METHOD_TO_MODEL[method].model_validate(body)  # type: ignore[attr-defined]
        except ValidationError as error:
            return _invalid(request_id, error)
        response = await super().handle_request(request_id, method, body, request)
        if method == _DELETE_CONFIG and b'"error"' not in bytes(response.body):
            # A response has a result or an error.
            return JSONResponse({"jsonrpc": "2.0", "id": request_id, "result": None})
        return response

    async def _name_config(self, body: dict[str, Any], request: Request) -> None:
        """0.2.1 asks by the task alone: the first config is meant."""
        params = body.get("params")
        if not isinstance(params, dict) or params.get("pushNotificationConfigId"):
            return
        if not isinstance(task := params.get("id"), str):
            return
        asked = ListTaskPushNotificationConfigsRequest(task_id=task)
        try:
            found = await self._requests.on_list_task_push_notification_configs(
                asked, self._context_builder.build(request)
            )
        except A2AError:
            found = None  # and so says the request itself
        first = found.configs[0].id if found and found.configs else task
        body["params"] = {**params, "pushNotificationConfigId": first}


def _invalid(request_id: str | int | None, error: ValidationError) -> JSONResponse:
    """What does not fit, by its field: and not what stood there."""
    fields = [{"field": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
    in_params = any(each["field"].startswith("params") for each in fields)
    code, message = (-32602, "Invalid params") if in_params else (-32600, "Invalid Request")
    answer = {"code": code, "message": message, "data": {"errors": fields[:20]}}
    return JSONResponse({"jsonrpc": "2.0", "id": request_id, "error": answer})


def old_card_routes(
    card: Callable[[Request], Awaitable[Response]],
    handler: RequestHandler,
    contexts: ServerCallContextBuilder | None = None,
) -> list[Route]:
    """Where 0.2 looks for the card, and for the extended one.

    Args:
        card: answers with the card; it has the fields of 0.3 where it lists an interface of that version.
    """
    from a2a.compat.v0_3 import conversions

    contexts = Versions(contexts)

    async def extended(request: Request) -> Response:
        try:
            found = await handler.on_get_extended_agent_card(
                GetExtendedAgentCardRequest(), contexts.build(request)
            )
        except A2AError as error:
            return JSONResponse({"error": error.message}, status_code=404)
        old = conversions.to_compat_agent_card(found)
        return JSONResponse(old.model_dump(mode="json", by_alias=True, exclude_none=True))

    return [
        Route(OLD_CARD, card, methods=["GET"]),
        Route(OLD_EXTENDED_CARD, extended, methods=["GET"]),
    ]
