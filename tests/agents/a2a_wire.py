"""What a client sends and gets, by each binding, with no client library between the test and the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from a2a.types import a2a_pb2
from a2a.types.a2a_pb2_grpc import A2AServiceStub
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2, status_pb2

BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
CODES = {
    "TASK_NOT_FOUND": (-32001, 404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": (-32002, 400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": (-32003, 400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": (-32004, 400, "FAILED_PRECONDITION"),
    "CONTENT_TYPE_NOT_SUPPORTED": (-32005, 400, "INVALID_ARGUMENT"),
    "VERSION_NOT_SUPPORTED": (-32009, 400, "FAILED_PRECONDITION"),
    "INVALID_PARAMS": (-32602, 400, "INVALID_ARGUMENT"),
}
"""What an error is over JSON-RPC, HTTP and gRPC."""
METHODS = {
    "SendMessage": ("POST", "/message:send"),
    "SendStreamingMessage": ("POST", "/message:stream"),
    "GetTask": ("GET", "/tasks/{id}"),
    "ListTasks": ("GET", "/tasks"),
    "CancelTask": ("POST", "/tasks/{id}:cancel"),
    "SubscribeToTask": ("POST", "/tasks/{id}:subscribe"),
    "CreateTaskPushNotificationConfig": ("POST", "/tasks/{taskId}/pushNotificationConfigs"),
    "GetTaskPushNotificationConfig": ("GET", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "ListTaskPushNotificationConfigs": ("GET", "/tasks/{taskId}/pushNotificationConfigs"),
    "DeleteTaskPushNotificationConfig": ("DELETE", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "GetExtendedAgentCard": ("GET", "/extendedAgentCard"),
}

SERVICE = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"]


class Refused(Exception):
    """An error of the protocol, by its reason; its code, its text and its HTTP status are checked."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """The agent by one binding."""

    url: str
    binding: str
    port: int
    """Of gRPC."""
    token: str
    version: str = "1.0"

    async def ask(self, method: str, **params: Any) -> Any:
        """The answer of a method; raises `Refused`."""
        if self.binding == "GRPC":
            (answer,) = await self.called(method, params)
            return answer
        response = await self.send(method, **params)
        body = response.json()
        self._check_error(response, body)
        if self.binding == "JSONRPC":
            assert (body["jsonrpc"], body["id"]) == ("2.0", "r1")
            return body["result"]
        assert response.headers["content-type"].partition(";")[0] == "application/a2a+json"
        return body

    async def events(self, method: str, **params: Any) -> list[dict[str, Any]]:
        """What a streaming method sends; raises `Refused`."""
        if self.binding == "GRPC":
            return await self.called(method, params)
        response = await self.send(method, **params)
        if response.headers["content-type"].startswith("application/"):
            self._check_error(response, response.json())
        assert response.headers["content-type"].startswith("text/event-stream")
        data = [json.loads(line[5:]) for line in response.text.splitlines() if line.startswith("data:")]
        for each in data:
            self._check_error(response, each, in_stream=True)
        return [each["result"] for each in data] if self.binding == "JSONRPC" else data

    async def send(self, method: str, **params: Any) -> httpx.Response:
        headers = {"A2A-Version": self.version} if self.version else {}
        if self.binding == "JSONRPC":
            body = {"jsonrpc": "2.0", "id": "r1", "method": method, "params": params}
            return await self._http("POST", f"{self.url}/", json=body, headers=headers)
        verb, path = METHODS[method]
        left = {name: value for name, value in params.items() if f"{{{name}}}" not in path}
        sent: dict[str, Any] = {"json": left} if verb == "POST" else {"params": left}
        return await self._http(verb, self.url + path.format(**params), headers=headers, **sent)

    async def _http(self, method: str, url: str, headers: dict[str, str], **sent: Any) -> httpx.Response:
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **headers}
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
            return await http.request(method, url, **sent)

    async def called(self, method: str, params: dict[str, Any]) -> list[Any]:
        """What comes back over gRPC; raises `Refused`."""
        try:
            return await self.grpc(method, params)
        except grpc.aio.AioRpcError as error:
            raise Refused(_reason(error)) from error

    async def grpc(self, method: str, params: dict[str, Any]) -> list[Any]:
        """The same; raises what gRPC raises."""
        kind = getattr(a2a_pb2, SERVICE.methods_by_name[method].input_type.name)
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else []
        metadata += [("a2a-version", self.version)] if self.version else []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = getattr(A2AServiceStub(channel), method)(ParseDict(params, kind()), metadata=metadata)
            told = [each async for each in call] if hasattr(call, "__aiter__") else [await call]
        is_list = method == "ListTasks"
        return [MessageToDict(each, always_print_fields_with_no_presence=is_list) for each in told]

    def _check_error(
        self, response: httpx.Response, body: dict[str, Any], *, in_stream: bool = False
    ) -> None:
        if "error" not in body:
            assert response.status_code == 200
            return
        error = body["error"]
        (info, *_) = error["data"] if self.binding == "JSONRPC" else error["details"]
        assert (info["@type"], info["domain"]) == (ERROR_INFO, "a2a-protocol.org")
        assert error["message"]
        code, status, _ = CODES[info["reason"]]
        if self.binding == "JSONRPC":
            assert (response.status_code, error["code"]) == (200, code)
        elif not in_stream:
            assert (response.status_code, error["code"]) == (status, status)
            assert error["status"]
        raise Refused(info["reason"])

    async def task(self, text: str, **more: Any) -> dict[str, Any]:
        """The task of a message."""
        found = (await self.ask("SendMessage", message=message(text), **more))["task"]
        assert isinstance(found, dict)
        return found


def _reason(error: grpc.aio.AioRpcError) -> str:
    """Why a call was refused; that it is said as it is to be is checked."""
    (trailer,) = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    status = status_pb2.Status.FromString(trailer)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, status.message) == ("a2a-protocol.org", error.details())
    assert status.message
    assert (error.code().value[0], error.code().name) == (status.code, CODES[info.reason][2])
    return str(info.reason)


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}]} | more


async def refused(wire: Wire, method: str, **params: Any) -> str:
    """The reason for which a request is refused."""
    with pytest.raises(Refused) as caught:
        await (wire.events if "Stream" in method or "Subscribe" in method else wire.ask)(method, **params)
    return str(caught.value)
