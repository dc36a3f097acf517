"""Agents that work on code: in a worktree of their own, in a sandbox, and nowhere else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from pygent_factory import types
from pygent_factory.workspace import git, workspaces
from pygent_factory.workspace.git import Worktree
from pygent_factory.workspace.tools import DEFINITIONS, WorkspaceTools
from pygent_shared.errors import (
    FileRefused,
    InvalidArgument,
    NotAllowed,
    PygentError,
    SandboxMissing,
    UnknownName,
)
from pygent_shared.sandbox.run import missing
from pygent_shared.settings import Settings
from pygent_shared.testing import refusal

from .test_factory_runs import Notes, call, factory, script

pytestmark = pytest.mark.anyio
sandboxed = pytest.mark.skipif(bool(missing()), reason=str(missing()))

WRONG = "def area(width, height):\n    return width + height\n"
TEST = "from shapes import area\n\n\ndef test_area():\n    assert area(3, 4) == 12\n"
EDIT = {"path": "shapes.py", "old": "width + height", "new": "width * height"}


def said(folder: Path, *words: str) -> str:
    """What git says there."""
    who = ("-c", "user.name=T", "-c", "user.email=t@localhost")
    return subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A module that is wrong, and a test that says so."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    said(folder, "init", "-q", "-b", "main")
    (folder / "shapes.py").write_text(WRONG)
    (folder / "test_shapes.py").write_text(TEST)
    (folder / ".gitignore").write_text("*.secret\n")
    said(folder, "add", ".")
    said(folder, "commit", "-qm", "Shapes")
    return folder


@pytest.fixture
def worktree(repository: Path, tmp_path: Path) -> Worktree:
    return git.begin(git.source(str(repository)), tmp_path / "w" / "r1", "pygent/r1")


@pytest.fixture
def tools(worktree: Worktree) -> WorkspaceTools:
    return WorkspaceTools(worktree, None)


async def told(tools: WorkspaceTools, name: str, **arguments: Any) -> str:
    result = await tools.call_tool(f"workspace__{name}", arguments)
    return str(result["content"][0]["text"])


# A run.


@sandboxed
async def test_a_coding_agent_mends_a_failing_test_on_a_branch_of_its_own(
    repository: Path, settings: Settings, tmp_path: Path
) -> None:
    def use(name: str, **arguments: Any) -> dict[str, Any]:
        return {"tool_calls": [{"name": f"workspace__{name}", "arguments": arguments}]}

    replies = [
        use("check"),
        use("read", path="shapes.py"),
        use("edit", **EDIT),
        use("check"),
        "It multiplies.",
    ]
    before = said(repository, "rev-parse", "HEAD")
    async with factory(settings, Notes()) as client:
        model = script(tmp_path, replies)
        await call(client, "create_agent", name="coder", type="coding", model=model)
        await call(client, "deploy_agent", name="coder")
        asked = {"name": "coder", "task": "Mend the area.", "workspace": str(repository), "wait_s": 120}
        run = await call(client, "run_agent", **asked)
        trace = await call(client, "get_run", run=run["run"])
    assert (run["state"], run["answer"], run["error"]) == ("done", "It multiplies.", "")
    assert [(tool["tool"], tool["error"]) for tool in run["tools"]] == [
        (f"workspace__{name}", False) for name in ("check", "read", "edit", "check")
    ]
    work = run["workspace"]
    assert trace["workspace"] == work
    assert work["branch"] == f"pygent/{run['run']}"
    assert "1 file changed, 1 insertion(+), 1 deletion(-)" in work["changes"]
    assert "width * height" in said(repository, "show", f"{work['branch']}:shapes.py")
    assert said(repository, "log", "-1", "--format=%s%n%b", work["branch"]).splitlines() == [
        "Mend the area.",
        f"Pygent-Run: {run['run']}",
    ]
    assert (repository / "shapes.py").read_text() == WRONG
    assert (said(repository, "rev-parse", "HEAD"), said(repository, "status", "--porcelain")) == (before, "")
    assert said(repository, "branch", "--show-current") == "main"


@sandboxed
async def test_what_a_stopped_run_did_is_kept_too(
    repository: Path, settings: Settings, tmp_path: Path
) -> None:
    write = {"name": "workspace__write", "arguments": {"path": "new.py", "text": "x = 1\n"}}
    (repository / "shapes.py").write_text("changed, and in no commit")
    async with factory(settings, Notes()) as client:
        model, more = script(tmp_path, [{"tool_calls": [write]}] * 2), {"budget": {"requests": 1}}
        await call(client, "create_agent", name="coder", type="coding", model=model, more=more)
        await call(client, "deploy_agent", name="coder")
        run = await call(client, "run_agent", name="coder", task="x", workspace=str(repository))
    assert (run["state"], "budget of 1 request(s)" in run["error"]) == ("failed", True)
    assert run["workspace"]["note"] == workspaces.DIRTY
    assert said(repository, "diff", "--name-only", "HEAD", run["workspace"]["branch"]) == "new.py"


@sandboxed
async def test_what_a_cancelled_run_did_that_waited_for_its_model_is_committed(
    repository: Path, settings: Settings
) -> None:
    write = {"name": "workspace__write", "arguments": {"path": "new.py", "text": "x = 1\n"}}
    async with factory(settings, Notes()) as client:
        await call(client, "create_agent", name="coder", type="coding")
        await call(client, "deploy_agent", name="coder")
        run = await call(client, "run_agent", name="coder", task="Begin.", workspace=str(repository))
        reply = json.dumps({"tool_calls": [write]})
        assert (await call(client, "continue_run", run=run["run"], reply=reply))[
            "state"
        ] == "needs_completion"
        cancelled = await call(client, "cancel_run", run=run["run"])
        branch = cancelled["workspace"]["branch"]
        assert (cancelled["state"], cancelled["workspace"]["note"]) == ("cancelled", "")
        assert "1 file changed, 1 insertion(+)" in cancelled["workspace"]["changes"]
        assert said(repository, "show", f"{branch}:new.py") == "x = 1"
        assert said(repository, "log", "-1", "--format=%s", branch) == "Begin."

        folder = Path(cancelled["workspace"]["folder"])
        (folder / "later.py").write_text("y = 2\n")
        found = await call(client, "get_run", run=run["run"])
        assert found["workspace"]["note"] == f"Not all of it is in a commit: the rest is in {folder}."
        assert found["workspace"]["commit"] == cancelled["workspace"]["commit"]


@sandboxed
async def test_a_run_cancelled_within_a_command_stops_it_and_what_it_did_is_committed(
    repository: Path, settings: Settings, tmp_path: Path
) -> None:
    run_it = {"name": "workspace__run", "arguments": {"command": "echo 1 > begun; sleep 300"}}
    async with factory(settings, Notes()) as client:
        model = script(tmp_path, [{"tool_calls": [run_it]}, "Never said."])
        await call(client, "create_agent", name="coder", type="coding", model=model)
        await call(client, "deploy_agent", name="coder")
        run = await call(client, "run_agent", name="coder", task="x", workspace=str(repository), wait_s=0)
        with anyio.fail_after(60):
            while not list(settings.data_dir.glob("workspaces/*/begun")):
                await anyio.sleep(0.02)
        cancelled = await call(client, "cancel_run", run=run["run"])
    assert (cancelled["state"], cancelled["workspace"]["note"]) == ("cancelled", "")
    assert said(repository, "show", f"{cancelled['workspace']['branch']}:begun") == "1"


@sandboxed
async def test_one_that_goes_round_in_circles_in_its_workspace_is_stopped(
    repository: Path, settings: Settings, tmp_path: Path
) -> None:
    run_it = {"name": "workspace__run", "arguments": {"command": "false"}}
    async with factory(settings, Notes()) as client:
        model = script(tmp_path, [{"tool_calls": [run_it]}] * 9)
        await call(client, "create_agent", name="coder", type="debugging", model=model)
        await call(client, "deploy_agent", name="coder")
        run = await call(client, "run_agent", name="coder", task="x", workspace=str(repository))
    assert (run["state"], "with the same arguments 4 times" in run["error"]) == ("failed", True)
    assert run["workspace"]["changes"] == ""


async def test_a_workspace_that_cannot_be_had_is_refused_before_the_run(
    repository: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with factory(settings, Notes()) as client:
        for name, kind in (("coder", "documentation"), ("notes", "reasoning")):
            await call(client, "create_agent", name=name, type=kind)
            await call(client, "deploy_agent", name=name)
        monkeypatch.setattr(workspaces, "missing", lambda: None)

        async def refused(name: str, **arguments: str) -> str:
            return await refusal(client, "run_agent", name=name, task="x", **arguments)

        assert "workspace: is missing, and this agent works in one. Name a git" in await refused("coder")
        assert "no use to an agent without" in await refused("notes", workspace=str(repository))
        (tmp_path / "plain").mkdir()
        assert "is no git repository" in await refused("coder", workspace=str(tmp_path / "plain"))
        assert "is no folder. Give the whole path" in await refused("coder", workspace="plain")
        near = await refused("coder", workspace=str(repository), branch="mian")
        assert 'There is no branch "mian". Did you mean "main"?' in near
        said(tmp_path / "plain", "init", "-q")
        assert "has no commit to begin with" in await refused("coder", workspace=str(tmp_path / "plain"))
        lacking = SandboxMissing("its sandbox needs bubblewrap", "Install it: apt install bubblewrap.")
        monkeypatch.setattr(workspaces, "missing", lambda: lacking)
        without = await refused("coder", workspace=str(repository))
        assert without.endswith(
            "This agent runs code, and its sandbox needs bubblewrap. Install it: apt install bubblewrap."
        )
        assert (await call(client, "list_runs"))["runs"] == []
    assert said(repository, "branch", "--format=%(refname:short)") == "main"


def test_the_kinds_that_work_on_code_have_tools_that_there_are() -> None:
    names = {item["name"] for item in DEFINITIONS}
    for kind in ("coding", "testing", "review", "documentation", "debugging"):
        assert all(tool == "workspace__*" or tool in names for tool in types.of(kind).tools)
    assert not {"workspace__write", "workspace__edit"} & set(types.of("review").tools)


# Files.


async def test_files_are_listed_read_searched_and_written(worktree: Worktree, tools: WorkspaceTools) -> None:
    (worktree.folder / "own.secret").write_text("hush")
    assert await told(tools, "write", path="a/b.py", text="x = 1\ny = 2\n") == "Wrote a/b.py: 2 lines."
    assert await told(tools, "list") == ".gitignore\na/b.py\nshapes.py\ntest_shapes.py"
    assert await told(tools, "list", folder="a") == "a/b.py"
    assert await told(tools, "read", path="a/b.py", line=2) == "[a/b.py, lines 2-2 of 2]\ny = 2\n"
    assert await told(tools, "search", pattern=r"^\w = \d$") == "a/b.py:1:x = 1\na/b.py:2:y = 2"
    assert await told(tools, "search", pattern="area", glob="test_*.py") == (
        "test_shapes.py:1:from shapes import area\n"
        "test_shapes.py:4:def test_area():\n"
        "test_shapes.py:5:    assert area(3, 4) == 12"
    )
    assert await told(tools, "search", pattern="nowhere") == "Nothing matches."
    with pytest.raises(InvalidArgument, match=r"git says: .*parenthesis"):
        await told(tools, "search", pattern="(")


async def test_a_change_made_twice_is_made_once(worktree: Worktree, tools: WorkspaceTools) -> None:
    insert = {"path": "shapes.py", "old": "return", "new": "assert width\n    return"}
    for change in (EDIT, insert):
        assert (await told(tools, "edit", **change)).startswith("Edited shapes.py in line 2")
        assert await told(tools, "edit", **change) == "The edit is applied to shapes.py already."
    whole = "def area(width, height):\n    assert width\n    return width * height\n"
    assert (worktree.folder / "shapes.py").read_text() == whole
    assert await told(tools, "write", path="shapes.py", text=whole) == "shapes.py is so already."


@pytest.mark.parametrize(
    ("name", "arguments", "error", "why"),
    [
        ("read", {"path": "shape.py"}, UnknownName, 'Did you mean "shapes.py"'),
        ("read", {"path": "."}, FileRefused, "is no file"),
        ("read", {"path": "x\0"}, InvalidArgument, "is no path"),
        ("read", {"path": "binary"}, FileRefused, "is no text"),
        ("read", {"file": "shapes.py"}, InvalidArgument, "The arguments are: path, line"),
        ("write", {"path": "shapes.py/x", "text": ""}, FileRefused, "cannot be written"),
        ("write", {"path": "x", "text": "x" * (2 << 20)}, InvalidArgument, "over 1048576"),
        ("edit", {"path": "shapes.py", "old": "widht", "new": "x"}, InvalidArgument, "does not stand in"),
        ("edit", {"path": "shapes.py", "old": "width", "new": "x"}, InvalidArgument, "stands 2 times"),
        ("edit", {"path": "shapes.py", "old": "", "new": "x"}, InvalidArgument, "is empty"),
        ("delete", {}, UnknownName, 'no tool "workspace__delete"'),
    ],
)
async def test_wrong_arguments_are_refused_with_a_cure(
    worktree: Worktree,
    tools: WorkspaceTools,
    name: str,
    arguments: dict[str, Any],
    error: type[PygentError],
    why: str,
) -> None:
    (worktree.folder / "binary").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(error, match=why):
        await told(tools, name, **arguments)


@pytest.mark.parametrize(
    "path", ["../../x", "/etc/passwd", "link", "up/x", "loop", ".git", ".git/config", "a/../.git"]
)
async def test_no_path_leads_out_of_the_workspace(
    worktree: Worktree, tools: WorkspaceTools, tmp_path: Path, path: str
) -> None:
    (tmp_path / "x").write_text("hush")
    (worktree.folder / "link").symlink_to(tmp_path / "x")
    (worktree.folder / "up").symlink_to(tmp_path)
    (worktree.folder / "loop").symlink_to("loop")
    for name, more in (("read", {}), ("write", {"text": "y"}), ("edit", {"old": "hush", "new": "y"})):
        with pytest.raises((NotAllowed, InvalidArgument), match=r"leads out|belongs to git|is no path"):
            await told(tools, name, path=path, **more)
    assert (tmp_path / "x").read_text() == "hush"


# Programs.


@sandboxed
async def test_a_command_sees_the_workspace_and_nothing_else(
    worktree: Worktree, tools: WorkspaceTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hush-hush")
    assert "Exit code 3" in await told(tools, "run", command="echo x > made; exit 3")
    assert (worktree.folder / "made").read_text() == "x\n"
    assert "hush" not in await told(tools, "run", command="env; cat /proc/*/environ")
    assert "shapes.py" not in await told(tools, "run", command=f"ls {worktree.repository}")
    assert "Exit code 0" not in await told(tools, "run", command="echo x > .git")
    assert "It was ended: it took more than 1 s." in await told(tools, "run", command="sleep 60", timeout_s=1)


@sandboxed
async def test_what_a_program_leaves_does_not_tell_git_what_to_run(
    worktree: Worktree, tools: WorkspaceTools, tmp_path: Path
) -> None:
    trap = f"touch {tmp_path / 'sprung'}"
    nested = f"mkdir -p sub && cd sub && git init -q && git config core.fsmonitor '{trap}; false'"
    assert '/sub" is a repository within the workspace. Remove its .git.]' in await told(
        tools, "run", command=nested
    )
    with pytest.raises(FileRefused, match="is a repository within"):
        await told(tools, "list")
    with pytest.raises(FileRefused, match="is a repository within"):
        git.keep(worktree, "x")
    assert not (tmp_path / "sprung").exists()
    assert "[files " in await told(tools, "run", command="rm -r sub/.git")


@sandboxed
async def test_a_check_is_one_result_of_all_tools(worktree: Worktree, tools: WorkspaceTools) -> None:
    first = await told(tools, "check")
    assert "ruff: passed" in first
    assert "mypy: not configured in this repository, left out" in first
    assert "pytest: FAILED" in first
    assert "assert 7 == 12" in first
    await told(tools, "edit", **EDIT)
    await told(tools, "write", path="pyproject.toml", text="[tool.mypy]\nstrict = true\n")
    second = await told(tools, "check", tests=["test_shapes.py"])
    assert "pytest: passed" in second
    assert "mypy: FAILED" in second
    assert "Function is missing a type annotation" in second
    assert second.splitlines()[-1] != first.splitlines()[-1]
    assert await told(tools, "list") == ".gitignore\npyproject.toml\nshapes.py\ntest_shapes.py"


# The repository.


def test_a_worktree_that_was_begun_and_not_finished_is_begun_anew(repository: Path, tmp_path: Path) -> None:
    source = git.source(str(repository), "main")
    for _ in range(2):
        made = git.begin(source, tmp_path / "w" / "r1", "pygent/r1")
        assert (made.folder / "shapes.py").read_text() == WRONG
        (made.folder / "shapes.py").unlink()


def test_keeping_twice_is_one_commit_and_runs_no_hook(
    worktree: Worktree, repository: Path, tmp_path: Path
) -> None:
    for hook in ("pre-commit", "commit-msg", "post-commit", "post-checkout", "reference-transaction"):
        path = repository / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
        path.chmod(0o755)
    (worktree.folder / "new").write_text("x")
    first = git.keep(worktree, "Change")
    assert git.keep(worktree, "Change") == first
    assert said(repository, "rev-list", "--count", f"main..{worktree.branch}") == "1"
    assert json.loads(first.model_dump_json())["changes"].strip().startswith("new | 1 +")
    assert not (tmp_path / "sprung").exists()


def test_an_environment_that_the_repository_holds_itself_is_not_shown(
    repository: Path, tmp_path: Path
) -> None:
    (repository / ".venv" / "bin").mkdir(parents=True)
    (repository / ".venv" / "pyvenv.cfg").write_text(f"home = {Path.home()}/bin\n")
    (repository / ".venv" / "bin" / "python").symlink_to("/bin/sh")
    source = git.source(str(repository))
    assert git.begin(source, tmp_path / "w1", "pygent/r1").environment == repository / ".venv"
    said(repository, "add", "-A", "-f")
    assert git.begin(source, tmp_path / "w2", "pygent/r2").environment is None
