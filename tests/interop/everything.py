"""The fixture server of the MCP conformance suite: every feature of both protocol eras on one real server.

    python tests/interop/everything.py stdio
    python tests/interop/everything.py http 3901

The rule of this file: the conformance suite dictates every name and every answer, so nothing here is a
choice of ours. A fixture is a plain function; the tables above `build_server` say which ones are served.
Its questions to the client come in two kinds. Those declared with `Resolve` reach the client in either
era; the `test_input_required_result_*` family returns its questions by hand, which only 2026-07-28 knows.
"""

import argparse
import json
import logging
import warnings
from base64 import b64decode
from collections.abc import Callable
from typing import Annotated, Any, Literal

import anyio
from mcp import MCPDeprecationWarning, MCPError
from mcp import types as t
from mcp.server import ServerRequestContext
from mcp.server.mcpserver import (
    AcceptedElicitation,
    Context,
    Elicit,
    ElicitationResult,
    MCPServer,
    Resolve,
    Sample,
    UserMessage,
)
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.server.mcpserver.tools.base import Tool
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from pydantic import BaseModel, Field, JsonValue

RED_PIXEL_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC"
SILENCE_WAV = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA=="

BETWEEN_MESSAGES = 0.05
"""Seconds between two notifications of one call, so that a client sees a stream and not a batch."""

STREAM_RETRY_MS = 100
"""How long a client whose stream was closed waits before it reconnects."""


# Content: one tool for each kind of block.


def image() -> t.ImageContent:
    return t.ImageContent(data=RED_PIXEL_PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, text: str) -> t.EmbeddedResource:
    return t.EmbeddedResource(resource=t.TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def test_simple_text() -> str:
    """Answer with one text block."""
    return "This is a simple text response for testing."


def test_image_content() -> t.ImageContent:
    """Answer with one image, a red pixel."""
    return image()


def test_audio_content() -> t.AudioContent:
    """Answer with one sound, a millisecond of silence."""
    return t.AudioContent(data=SILENCE_WAV, mime_type="audio/wav")


def test_embedded_resource() -> t.EmbeddedResource:
    """Answer with a resource inside the result."""
    return embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")


def test_multiple_content_types() -> list[t.ContentBlock]:
    """Answer with a text, an image and a resource."""
    return [
        t.TextContent(text="Multiple content types test:"),
        image(),
        embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
    ]


# Refusals: an error the model reads, and one that only the host sees.


def test_error_handling() -> str:
    """Fail, as a tool result that the model can read."""
    raise ToolError("This tool intentionally returns an error for testing")


def test_missing_capability(ctx: Context) -> str:
    """Answer only a client that offers sampling; refuse any other with a protocol error."""
    if ctx.client_capabilities is not None and ctx.client_capabilities.sampling is not None:
        return "The client offers sampling."
    raise MCPError(
        t.MISSING_REQUIRED_CLIENT_CAPABILITY,
        "This tool needs a client that declares the capability 'sampling'",
        {"requiredCapabilities": {"sampling": {}}},
    )


# Streams: tools that say something before they answer.


async def test_tool_with_logging(ctx: Context) -> str:
    """Send three log messages, then answer."""
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(message)
        await anyio.sleep(BETWEEN_MESSAGES)
    return "Tool with logging executed successfully"


async def test_logging_tool(ctx: Context) -> str:
    """Log once; a 2026-07-28 client that set no log level must not hear of it."""
    await ctx.info("Only for those who asked")
    return "Logged."


async def test_tool_with_progress(ctx: Context) -> str:
    """Report progress at 0, 50 and 100 of 100, then answer."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"Completed step {done} of 100")
        await anyio.sleep(BETWEEN_MESSAGES)
    return "Tool with progress executed successfully"


async def test_reconnection(ctx: Context) -> str:
    """Close the response stream in the middle of the call; the client has to come back for the answer."""
    await ctx.close_sse_stream()
    await anyio.sleep(2 * STREAM_RETRY_MS / 1000)
    return "Reconnection test completed"


async def test_trigger_tool_change(ctx: Context) -> str:
    """Add a tool and take it away again, announcing the change to clients of either era."""
    ctx.mcp_server.add_tool(test_simple_text, name="test_dynamic_tool")
    ctx.mcp_server.remove_tool("test_dynamic_tool")
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "The list of tools changed."


async def test_trigger_prompt_change(ctx: Context) -> str:
    """Add a prompt and take it away again, announcing the change to clients of either era."""
    ctx.mcp_server.add_prompt(Prompt.from_function(test_simple_prompt, name="test_dynamic_prompt"))
    ctx.mcp_server.remove_prompt("test_dynamic_prompt")
    await ctx.notify_prompts_changed()
    await ctx.session.send_prompt_list_changed()
    return "The list of prompts changed."


# Questions in either era: the client's model and the client's user.


class Contact(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Profile(BaseModel):
    """SEP-1034: a default for each primitive type."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def titled(**titles: str) -> list[JsonValue]:
    return [{"const": value, "title": title} for value, title in titles.items()]


TITLES = {"value1": "First Option", "value2": "Second Option", "value3": "Third Option"}


class Choices(BaseModel):
    """SEP-1330: the five ways to write a choice, raw schema where types cannot tell them apart."""

    untitledSingle: Literal["option1", "option2", "option3"]
    titledSingle: str = Field(json_schema_extra={"oneOf": titled(**TITLES)})
    legacyEnum: str = Field(
        json_schema_extra={
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        }
    )
    untitledMulti: list[Literal["option1", "option2", "option3"]]
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": titled(**TITLES)}})


def user_message(text: str) -> t.SamplingMessage:
    return t.SamplingMessage(role="user", content=t.TextContent(text=text))


def sample(prompt: str) -> Sample:
    return Sample([user_message(prompt)], max_tokens=100)


def ask_contact(message: str) -> Elicit[Contact]:
    return Elicit(message, Contact)


def ask_profile() -> Elicit[Profile]:
    return Elicit("Please review your profile", Profile)


def ask_choices() -> Elicit[Choices]:
    return Elicit("Please choose", Choices)


def outcome(reply: ElicitationResult[Any]) -> str:
    content = reply.data.model_dump_json() if isinstance(reply, AcceptedElicitation) else "{}"
    return f"action={reply.action}, content={content}"


def test_sampling(prompt: str, reply: Annotated[t.CreateMessageResult, Resolve(sample)]) -> str:
    """Put a prompt to the client's model and answer with what it said."""
    return f"LLM response: {spoken(reply)}"


def test_elicitation(message: str, reply: Annotated[ElicitationResult[Contact], Resolve(ask_contact)]) -> str:
    """Show the user a message with a form and answer with what they entered."""
    return f"User response: {outcome(reply)}"


def test_elicitation_sep1034_defaults(
    reply: Annotated[ElicitationResult[Profile], Resolve(ask_profile)],
) -> str:
    """Show the user a form whose fields all have a default."""
    return f"Elicitation completed: {outcome(reply)}"


def test_elicitation_sep1330_enums(reply: Annotated[ElicitationResult[Choices], Resolve(ask_choices)]) -> str:
    """Show the user a form with each kind of choice."""
    return f"Elicitation completed: {outcome(reply)}"


# Questions of 2026-07-28: the tool returns them, and the client repeats the call with the answers.


def form(message: str, **fields: str) -> t.ElicitRequest:
    """A form whose fields, given as name="JSON type", must all be filled."""
    properties = {name: {"type": kind} for name, kind in fields.items()}
    schema = {"type": "object", "properties": properties, "required": list(fields)}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def name_form() -> t.ElicitRequest:
    return form("What is your name?", name="string")


def prompt_for_model(prompt: str, max_tokens: int) -> t.CreateMessageRequest:
    params = t.CreateMessageRequestParams(messages=[user_message(prompt)], max_tokens=max_tokens)
    return t.CreateMessageRequest(params=params)


def answered(ctx: Context, key: str) -> Any:
    """The client's answer to the question asked under `key`, or None."""
    return (ctx.input_responses or {}).get(key)


def filled(ctx: Context, key: str, field: str) -> Any:
    """What the user entered into one field of the form asked under `key`, or None."""
    reply = answered(ctx, key)
    return reply.content.get(field) if isinstance(reply, t.ElicitResult) and reply.content else None


def spoken(reply: t.CreateMessageResult) -> str:
    return reply.content.text if isinstance(reply.content, t.TextContent) else f"({reply.content.type})"


def test_input_required_result_elicitation(ctx: Context) -> str | t.InputRequiredResult:
    """Ask the user's name and greet them by it."""
    if name := filled(ctx, "user_name", "name"):
        return f"Hello, {name}!"
    return t.InputRequiredResult(input_requests={"user_name": name_form()})


def test_input_required_result_sampling(ctx: Context) -> str | t.InputRequiredResult:
    """Ask the client's model a question and answer with what it said."""
    if isinstance(reply := answered(ctx, "capital_question"), t.CreateMessageResult):
        return f"The model said: {spoken(reply)}"
    question = prompt_for_model("What is the capital of France?", max_tokens=100)
    return t.InputRequiredResult(input_requests={"capital_question": question})


def test_input_required_result_list_roots(ctx: Context) -> str | t.InputRequiredResult:
    """Ask the client for its roots and answer with them."""
    if isinstance(reply := answered(ctx, "client_roots"), t.ListRootsResult):
        return "Roots: " + ", ".join(str(root.uri) for root in reply.roots)
    return t.InputRequiredResult(input_requests={"client_roots": t.ListRootsRequest()})


def test_input_required_result_request_state(ctx: Context) -> str | t.InputRequiredResult:
    """Ask for a confirmation, and accept it only together with the state that went out with the question.

    The SDK seals the state on its way out and refuses one that comes back altered.
    """
    if ctx.request_state == "awaiting confirmation" and answered(ctx, "confirm"):
        return "state-ok: confirmed"
    question = form("Please confirm", ok="boolean")
    return t.InputRequiredResult(input_requests={"confirm": question}, request_state="awaiting confirmation")


def test_input_required_result_multiple_inputs(ctx: Context) -> str | t.InputRequiredResult:
    """Ask the user, the model and the client at once, and answer when all three have replied."""
    questions: dict[str, t.InputRequest] = {
        "user_name": name_form(),
        "greeting": prompt_for_model("Generate a greeting", max_tokens=50),
        "client_roots": t.ListRootsRequest(),
    }
    if all(answered(ctx, key) for key in questions):
        return "All inputs received."
    return t.InputRequiredResult(input_requests=questions, request_state="awaiting three answers")


STEPS = {
    "name": ("step1", "Step 1: What is your name?"),
    "color": ("step2", "Step 2: What is your favorite color?"),
}


def test_input_required_result_multi_round(ctx: Context) -> str | t.InputRequiredResult:
    """Ask two questions, one in each round; the state carries the answers so far."""
    known = json.loads(ctx.request_state or "{}")
    for field, (key, message) in STEPS.items():
        known[field] = known.get(field) or filled(ctx, key, field)
        if known[field] is None:
            question = form(message, **{field: "string"})
            return t.InputRequiredResult(input_requests={key: question}, request_state=json.dumps(known))
    return f"{known['name']} likes {known['color']}."


def test_input_required_result_capabilities(ctx: Context) -> str | t.InputRequiredResult:
    """Ask only what the client declared that it can answer."""
    offered = ctx.client_capabilities or t.ClientCapabilities()
    questions: dict[str, t.InputRequest] = {}
    if offered.sampling is not None:
        questions["greeting"] = prompt_for_model("Generate a greeting", max_tokens=50)
    if offered.elicitation is not None:
        questions["user_name"] = name_form()
    if all(answered(ctx, key) for key in questions):
        return "Every question the client can answer is answered."
    return t.InputRequiredResult(input_requests=questions)


# Schemas that a proxy must hand on unchanged.


def test_x_mcp_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
) -> str:
    """Take an argument that HTTP clients of 2026-07-28 repeat in the header Mcp-Param-Region."""
    return f"region={region}"


def json_schema_2020_12_tool() -> str:
    """Show an input schema with the keywords that proxies tend to lose."""
    return "Its schema is the point."


JSON_SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


# Resources.


def static_text() -> str:
    """A resource that is text."""
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    """A resource that is bytes, a red pixel."""
    return b64decode(RED_PIXEL_PNG)


def watched() -> str:
    """A resource to subscribe to."""
    return "This is the content of the watched resource."


def numbered(id: str) -> str:
    """A resource made from a part of its address."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


# Prompts.


def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt that repeats its two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """A prompt that brings a resource along."""
    resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


def test_prompt_with_image() -> list[UserMessage]:
    """A prompt that brings an image along."""
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


def test_input_required_result_prompt(ctx: Context) -> str | t.InputRequiredResult:
    """A prompt that asks the user for a part of itself."""
    if context := filled(ctx, "user_context", "context"):
        return f"Use the following context: {context}"
    question = form("What context should the prompt use?", context="string")
    return t.InputRequiredResult(input_requests={"user_context": question})


# Requests that are neither a tool, a resource nor a prompt.


async def complete(
    ref: t.PromptReference | t.ResourceTemplateReference,
    argument: t.CompletionArgument,
    context: t.CompletionContext | None,
) -> t.Completion:
    """Complete any argument to the words that start as it does."""
    words = ("testValue1", "testValue2", "tested", "untested")
    return t.Completion(values=[word for word in words if word.startswith(argument.value)])


async def accept(ctx: ServerRequestContext, params: t.RequestParams) -> t.EmptyResult:
    """Agree without consequence: every log message is sent anyway, and no resource here ever changes."""
    return t.EmptyResult()


# What is served under its own name, and what under another.

TOOLS: tuple[Callable[..., Any], ...] = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_missing_capability,
    test_tool_with_logging,
    test_logging_tool,
    test_tool_with_progress,
    test_reconnection,
    test_trigger_tool_change,
    test_trigger_prompt_change,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
    test_x_mcp_header,
)
TOOLS_BY_ANOTHER_NAME: dict[str, Callable[..., Any]] = {
    "test_streaming_elicitation": test_input_required_result_elicitation,
    "test_input_required_result_tampered_state": test_input_required_result_request_state,
}
PROMPTS: tuple[Callable[..., Any], ...] = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
)
RESOURCES: dict[str, tuple[str, Callable[..., Any]]] = {
    "test://static-text": ("text/plain", static_text),
    "test://static-binary": ("image/png", static_binary),
    "test://watched-resource": ("text/plain", watched),
    "test://template/{id}/data": ("application/json", numbered),
}
LEGACY_REQUESTS: dict[str, type[t.RequestParams]] = {
    "logging/setLevel": t.SetLevelRequestParams,
    "resources/subscribe": t.SubscribeRequestParams,
    "resources/unsubscribe": t.UnsubscribeRequestParams,
}


def build_server() -> MCPServer:
    """The fixture server, with everything above on it."""
    schema_tool = Tool.from_function(json_schema_2020_12_tool)
    schema_tool.parameters = JSON_SCHEMA_2020_12
    server = MCPServer("everything", version="0.1.0", log_level="WARNING", tools=[schema_tool])
    for tool in TOOLS:
        server.add_tool(tool)
    for name, tool in TOOLS_BY_ANOTHER_NAME.items():
        server.add_tool(tool, name=name)
    for prompt in PROMPTS:
        server.add_prompt(Prompt.from_function(prompt))
    for uri, (mime_type, read) in RESOURCES.items():
        server.resource(uri, mime_type=mime_type)(read)
    server.completion()(complete)
    for method, params in LEGACY_REQUESTS.items():
        # The only door to these three: `MCPServer` has no method for them (mcp 2.3).
        server._lowlevel_server.add_request_handler(method, params, accept)
    return server


class Events(EventStore):
    """The events of every HTTP stream in the order they came; an event's id is its place in that order."""

    def __init__(self) -> None:
        self._events: list[tuple[str, t.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: t.JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        seen = int(last_event_id)
        stream_id, _ = self._events[seen - 1]
        for place, (owner, message) in enumerate(self._events[seen:], start=seen + 1):
            if owner == stream_id and message is not None:
                await send_callback(EventMessage(message, str(place)))
        return stream_id


def main() -> None:
    """Serve over the transport that the command line names."""
    parser = argparse.ArgumentParser(description="Serve every fixture of the MCP conformance suite.")
    transports = parser.add_subparsers(dest="transport", required=True)
    transports.add_parser("stdio")
    transports.add_parser("http").add_argument("port", type=int)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # The suite tests what the protocol has deprecated, too.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    if chosen.transport == "stdio":
        build_server().run()
    else:
        build_server().run(
            "streamable-http", port=chosen.port, event_store=Events(), retry_interval=STREAM_RETRY_MS
        )


if __name__ == "__main__":
    main()
