from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import BaseModel

from pygent_shared.server import SuiteServer, answer
from pygent_shared.settings import Settings
from pygent_shared.testing import ERAS, in_memory

pytestmark = pytest.mark.anyio

Open = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture(params=ERAS)
def client(request: pytest.FixtureRequest, third_party: Path, settings: Settings) -> Open:
    """`async with client() as it:` the third party's server, in each protocol era."""
    return lambda: in_memory("third_party", settings, mode=ERAS[request.param])


async def call(opened: Client, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Whether the call failed, and the text the model reads."""
    result = await opened.call_tool(tool, arguments)
    return bool(result.is_error), "".join(getattr(block, "text", "") for block in result.content)


async def test_a_good_call_is_answered(client: Open) -> None:
    async with client() as it:
        assert await call(it, "greet", name="Ada", times=2) == (False, "hello Ada hello Ada")


async def test_what_a_tool_raises_on_purpose_reaches_the_model_word_for_word(client: Open) -> None:
    async with client() as it:
        assert await call(it, "refuse") == (True, "path: it points nowhere. Name a folder that exists.")


@pytest.mark.parametrize("tool", ["crash", "wrong"])
async def test_what_a_tool_did_not_mean_to_raise_stays_in_the_log(
    client: Open, caplog: pytest.LogCaptureFixture, tool: str
) -> None:
    async with client() as it:
        assert await call(it, tool) == (True, f"Error executing tool {tool}")

    assert any(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)


async def test_an_unknown_tool_is_answered_with_the_nearest_one(client: Open) -> None:
    async with client() as it:
        assert await call(it, "great") == (True, 'There is no tool "great". Did you mean "greet"?')


async def test_a_misspelled_argument_is_refused_with_the_nearest_one(client: Open) -> None:
    async with client() as it:
        assert await call(it, "greet", name="Ada", time=2) == (
            True,
            'greet has no argument "time". Did you mean "times"? Mend that and call it again.',
        )
        assert await call(it, "nothing", name="Ada") == (
            True,
            'nothing has no argument "name". It takes none. Mend that and call it again.',
        )


async def test_arguments_that_do_not_fit_are_named_in_one_sentence(client: Open) -> None:
    async with client() as it:
        failed, text = await call(it, "greet", times="many")

    assert failed
    assert text.startswith("greet cannot use these arguments: name: field required; times: input should be")
    assert text.endswith("(got 'many'). Mend them and call it again.")
    assert "\n" not in text
    assert "pydantic" not in text


async def read(opened: Client, name: str) -> str:
    (content,) = (await opened.read_resource(f"third://notes/{name}")).contents
    return str(getattr(content, "text", ""))


async def test_a_resource_is_read(client: Open) -> None:
    async with client() as it:
        assert await read(it, "alpha") == "first"


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("alpha1", INVALID_PARAMS, 'There is no note "alpha1". Did you mean "alpha"?'),
        ("locked", INTERNAL_ERROR, "name: it is locked. Ask for another."),
    ],
)
async def test_what_a_resource_raises_on_purpose_reaches_the_caller(
    client: Open, name: str, code: int, sentence: str
) -> None:
    async with client() as it:
        with pytest.raises(MCPError) as caught:
            await read(it, name)

    assert (caught.value.error.code, caught.value.error.message) == (code, sentence)


async def test_what_a_resource_did_not_mean_to_raise_does_not_leak(client: Open) -> None:
    async with client() as it:
        with pytest.raises(MCPError) as caught:
            await read(it, "broken")

    assert "machine" not in str(caught.value)


async def test_a_prompt_is_rendered(client: Open) -> None:
    async with client() as it:
        (message,) = (await it.get_prompt("ask", {"about": "ships"})).messages

    assert getattr(message.content, "text", "") == "Tell me about ships."


@pytest.mark.parametrize(
    ("name", "about", "sentence"),
    [
        ("ask", "locked", "about: it is locked. Ask about another."),
        ("asks", "ships", 'There is no prompt "asks". Did you mean "ask"?'),
    ],
)
async def test_what_a_prompt_raises_on_purpose_reaches_the_caller(
    client: Open, name: str, about: str, sentence: str
) -> None:
    async with client() as it:
        with pytest.raises(MCPError) as caught:
            await it.get_prompt(name, {"about": about})

    assert (caught.value.error.code, caught.value.error.message) == (INVALID_PARAMS, sentence)


async def test_what_a_prompt_did_not_mean_to_raise_does_not_leak(client: Open) -> None:
    async with client() as it:
        with pytest.raises(MCPError) as caught:
            await it.get_prompt("ask", {"about": "broken"})

    assert "machine" not in str(caught.value)


async def test_a_docstring_becomes_the_description_without_its_indentation() -> None:
    server: SuiteServer[None] = SuiteServer("any")

    @server.tool()
    def first() -> str:
        """One line.

        And a second paragraph.
        """
        return ""

    @server.tool(description="Given.")
    def second() -> str:
        return ""

    descriptions = [tool.description for tool in await server.list_tools()]
    assert descriptions == ["One line.\n\nAnd a second paragraph.", "Given."]


def test_an_answer_is_short_text_for_the_model_and_data_for_programs() -> None:
    class Found(BaseModel):
        hits: int
        why: str | None = None

    result = answer("3 hits", Found(hits=3))

    assert [getattr(block, "text", "") for block in result.content] == ["3 hits"]
    assert result.structured_content == {"hits": 3}
    assert not result.is_error


async def test_the_server_says_its_name_and_the_suites_version(client: Open) -> None:
    from importlib.metadata import version

    async with client() as it:
        assert it.server_info is not None
        assert (it.server_info.name, it.server_info.version) == ("third-party", version("pygent-factory"))
