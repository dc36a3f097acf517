"""The MCP conformance suite passes: on the fixture server, on the registry in front of it, on each server.

Every server runs in a process of its own, over HTTP, on a free port of this machine. Without the suite in
its cache folder these tests skip and say what to type; they never reach for the network.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import anyio
import pytest
from mcp import Client

from .conformance import REVISIONS, missing, outcome, run, scored
from .serving import free_port, started

EVERYTHING = str(Path(__file__).with_name("everything.py"))
TASKS = str(Path(__file__).with_name("tasks_server.py"))

START_SECONDS = 60

NO_FIXTURE_NEEDED = {
    "2025-11-25": (
        "server-initialize",
        "ping",
        "tools-list",
        "tools-call-simple-text",
        "tools-call-error",
        "server-sse-multiple-streams",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
        "server-session-lifecycle",
    ),
    "2026-07-28": (
        "tools-list",
        "tools-call-simple-text",
        "tools-call-error",
        "server-sse-multiple-streams",
        "resources-list",
        "sep-2164-resource-not-found",
        "prompts-list",
        "dns-rebinding-protection",
        "caching",
        "input-required-result-missing-input-response",
        "input-required-result-unsupported-methods",
        "input-required-result-ignore-extra-params",
        "input-required-result-validate-input",
        "http-header-validation",
    ),
}
"""The scenarios that a server passes whatever its tools are; `COMPLETION` is for those that complete."""

COMPLETION = "completion-complete"

OF_TASKS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-mrtr-composition",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
)
"""The scenarios of the tasks extension, but for the one that the suite skips itself."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server in a process of its own."""

    name: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/mcp"

    def said(self) -> str:
        """The end of what the process wrote, for the message of a failing test."""
        return f"--- The last of what {self.name} wrote:\n{self.log.read_text(errors='replace')[-4000:]}"

    def answers(self) -> bool:
        """Whether anything at all is answered; to a GET without a session that is a refusal."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/mcp")
            return connection.getresponse().status > 0
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def command(name: str, port: int, folder: Path) -> list[str]:
    """How one of the servers under test is started."""
    if script := {"everything": EVERYTHING, "tasks": TASKS}.get(name):
        return [sys.executable, script, "http", str(port)]
    package = "registry" if name in BEHIND else name
    over_http = [sys.executable, "-m", f"pygent_{package}", "--transport", "http", "--port", str(port)]
    if name in BEHIND:
        return [*over_http, "--config", str(registry_config(folder, BEHIND[name]))]
    return over_http


BEHIND = {"registry": EVERYTHING, "registry of tasks": TASKS}
"""The fixture server that a registry is in front of."""


def registry_config(folder: Path, script: str) -> Path:
    """A config with a fixture server alone, whose names the registry hands on as they are."""
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = {"command": sys.executable, "args": [script, "stdio"], "env": env}
    fixtures = {**started, "prefix": "", "trusted": True}
    path = folder / "pygent.json"
    path.write_text(json.dumps({"mcpServers": {"fixtures": fixtures}}))
    return path


@contextmanager
def serving(name: str, folder: Path) -> Iterator[Served]:
    """Run a server until the end of the block; what it wrote is shown when it does not come up."""
    served = Served(name=name, port=free_port(), log=folder / "server.log")
    environment = {"PYGENT_AUTH": "none", "PYGENT_DATA_DIR": str(folder / "data"), "PYGENT_EMBEDDER": "none"}
    with started(command(name, served.port, folder), environment, served.log) as process:
        deadline = time.monotonic() + START_SECONDS
        while not served.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{name} did not come up (exit code {process.poll()}).\n{served.said()}")
            time.sleep(0.05)
        yield served


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server that a test names, started once for all tests of this module that name it."""
    if why := missing():
        pytest.skip(why)
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as served:
        yield served


def on(*servers: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("server", servers, indirect=True)


in_both_revisions = pytest.mark.parametrize("revision", REVISIONS)


def assert_passes(server: Served, revision: str, wanted: Iterable[str]) -> None:
    if missed := run(server.url, revision).missed(wanted):
        pytest.fail(
            "\n".join([f"{len(missed)} scenarios of {revision} did not pass:", *missed, server.said()])
        )


@on("everything")
@in_both_revisions
def test_the_fixture_server_passes_every_scored_scenario(server: Served, revision: str) -> None:
    assert_passes(server, revision, scored(revision))


@on("registry")
@in_both_revisions
def test_the_fixture_server_behind_the_registry_passes_every_scored_scenario(
    server: Served, revision: str
) -> None:
    assert_passes(server, revision, scored(revision))


@on("tasks", "registry of tasks")
def test_every_scenario_of_the_tasks_extension_passes(server: Served) -> None:
    assert_passes(server, "2026-07-28", OF_TASKS)


@on("memory", "rag")
@in_both_revisions
def test_each_server_of_ours_passes_every_scenario_that_needs_no_fixture(
    server: Served, revision: str
) -> None:
    completion = [COMPLETION] if anyio.run(completes, server) else []
    assert_passes(server, revision, [*NO_FIXTURE_NEEDED[revision], *completion])


async def completes(server: Served) -> bool:
    async with Client(server.url) as client:
        return client.server_capabilities.completions is not None


def test_a_suite_that_is_not_installed_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONFORMANCE_DIR", str(tmp_path))
    assert missing() == (
        f"The MCP conformance suite is not in {tmp_path}. "
        "Install it: python tests/interop/conformance.py --install"
    )


SKIPPED = {"id": "a", "status": "SKIPPED", "description": "A thing.", "errorMessage": "No tool to try it on."}
WIRE = {"id": "wire-schema-valid", "status": "SUCCESS", "description": "Every message fits the schema."}


@pytest.mark.parametrize(
    ("checks", "failures"),
    [
        (None, ("The suite left no result: it ended early, or has no such scenario.",)),
        ([SKIPPED, WIRE], ("Every check was skipped.", "a: No tool to try it on.")),
        ([WIRE | {"id": "b", "status": "FAILURE"}, WIRE], ("b: Every message fits the schema.",)),
        ([WIRE | {"id": "c"}, WIRE], ()),
    ],
    ids=["no result", "all skipped", "one failed", "passed"],
)
def test_a_scenario_passes_only_when_a_check_of_its_own_did(
    checks: list[dict[str, str]] | None, failures: tuple[str, ...]
) -> None:
    assert outcome("a-scenario", checks, required=True).failures == failures
