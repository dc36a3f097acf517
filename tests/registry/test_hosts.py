"""Installing into a host: what is changed in its config file, what is not, and the proof that it works."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pygent_registry.hosts import HOSTS, NAME, Entry, Machine, apply, edit, find_host, this_program
from pygent_registry.hosts.proof import prove
from pygent_shared.errors import ConfigInvalid, FileRefused, ServerUnavailable, UnknownName

ENTRY = Entry(command="/opt/pygent/bin/pygent", args=("serve",))
NOON = datetime(2026, 11, 21, 12, 0, 0)


def machine(home: Path, platform: str = "linux", **environ: str) -> Machine:
    return Machine(home=home, platform=platform, environ=environ)


def planned(name: str, home: Path, *, entry: Entry = ENTRY, remove: bool = False) -> Any:
    return find_host(name).plan(entry, remove=remove, machine=machine(home))


def config(name: str, home: Path, content: str | bytes) -> Path:
    """The host's config file with that content."""
    path = find_host(name).locate(machine(home))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def backups(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.glob("*.pygent-backup"))


# Where


@pytest.mark.parametrize(
    ("name", "platform", "expected"),
    [
        ("claude", "darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude", "win32", "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("claude", "linux", ".config/Claude/claude_desktop_config.json"),
        ("claude-code", "darwin", ".claude.json"),
        ("claude-code", "win32", ".claude.json"),
        ("claude-code", "linux", ".claude.json"),
        ("cursor", "darwin", ".cursor/mcp.json"),
        ("cursor", "win32", ".cursor/mcp.json"),
        ("cursor", "linux", ".cursor/mcp.json"),
        ("vscode", "darwin", "Library/Application Support/Code/User/mcp.json"),
        ("vscode", "win32", "AppData/Roaming/Code/User/mcp.json"),
        ("vscode", "linux", ".config/Code/User/mcp.json"),
    ],
)
def test_each_host_keeps_its_config_where_its_platform_does(
    tmp_path: Path, name: str, platform: str, expected: str
) -> None:
    assert find_host(name).locate(machine(tmp_path, platform)) == tmp_path / expected


@pytest.mark.parametrize(
    ("name", "platform", "variable", "expected"),
    [
        ("claude", "win32", "APPDATA", "Claude/claude_desktop_config.json"),
        ("vscode", "win32", "APPDATA", "Code/User/mcp.json"),
        ("vscode", "linux", "XDG_CONFIG_HOME", "Code/User/mcp.json"),
        ("claude-code", "linux", "CLAUDE_CONFIG_DIR", ".claude.json"),
    ],
)
def test_a_variable_moves_a_config_as_it_does_for_the_host(
    tmp_path: Path, name: str, platform: str, variable: str, expected: str
) -> None:
    moved = machine(tmp_path, platform, **{variable: str(tmp_path / "elsewhere")})
    assert find_host(name).locate(moved) == tmp_path / "elsewhere" / expected


def test_the_packaged_windows_app_of_claude_is_found_because_it_never_reads_the_documented_place(
    tmp_path: Path,
) -> None:
    package = tmp_path / "Local" / "Packages" / "Claude_pzs8sxrjxfjjc"
    package.mkdir(parents=True)
    windows = machine(tmp_path, "win32", LOCALAPPDATA=str(tmp_path / "Local"), APPDATA=str(tmp_path / "R"))
    expected = package / "LocalCache" / "Roaming" / "Claude" / "claude_desktop_config.json"
    assert find_host("claude").locate(windows) == expected


def test_an_unknown_host_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match='Did you mean "cursor"'):
        find_host("curser")


def test_every_host_in_the_table_answers_to_its_name() -> None:
    assert [find_host(name).name for name in HOSTS] == ["claude", "claude-code", "cursor", "vscode"]


def test_hosts_are_imported_without_mcp() -> None:
    code = """if True:
        import sys
        from pygent_registry.hosts import HOSTS, find_host
        assert [find_host(name) for name in HOSTS]
        assert "mcp" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


# The entry


def test_the_entry_names_the_script_beside_the_interpreter_by_its_absolute_path(tmp_path: Path) -> None:
    script = tmp_path / "pygent"
    script.touch(mode=0o755)
    entry = this_program(python=tmp_path / "python", platform="linux")
    assert entry == Entry(command=str(script), args=("serve",))


def test_without_a_script_the_entry_runs_the_module(tmp_path: Path) -> None:
    entry = this_program(python=tmp_path / "python", platform="linux")
    assert entry == Entry(command=str(tmp_path / "python"), args=("-m", "pygent_registry.cli", "serve"))


def test_the_entry_stays_in_the_virtual_environment_although_its_interpreter_is_a_link(
    tmp_path: Path,
) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    assert this_program(python=tmp_path / "python").command == str(tmp_path / "python")


def test_a_config_is_named_by_its_absolute_path_because_hosts_start_anywhere(tmp_path: Path) -> None:
    entry = this_program("team.json", {"PYGENT_PORT": "0"}, python=tmp_path / "python")
    assert entry.args[-3:] == ("serve", "--config", str(Path.cwd() / "team.json"))
    assert entry.env == {"PYGENT_PORT": "0"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude", {"mcpServers": {"pygent": {"command": ENTRY.command, "args": ["serve"]}}}),
        (
            "claude-code",
            {"mcpServers": {"pygent": {"type": "stdio", "command": ENTRY.command, "args": ["serve"]}}},
        ),
        ("cursor", {"mcpServers": {"pygent": {"command": ENTRY.command, "args": ["serve"]}}}),
        ("vscode", {"servers": {"pygent": {"type": "stdio", "command": ENTRY.command, "args": ["serve"]}}}),
    ],
)
def test_each_host_gets_the_entry_as_it_spells_it(tmp_path: Path, name: str, expected: object) -> None:
    plan = planned(name, tmp_path)
    apply(plan)
    assert json.loads(plan.path.read_text()) == expected
    assert json.loads(find_host(name).snippet(ENTRY)) == expected
    assert plan.entry == ENTRY


# Planning and applying


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    plan = planned("cursor", tmp_path)
    assert plan.changed
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_made_for_the_file_and_said_so(tmp_path: Path) -> None:
    plan = planned("claude", tmp_path)
    assert plan.notes == (
        f'The folder "{plan.path.parent}" is missing (is Claude Desktop installed?): installing makes it.',
    )
    assert apply(plan) is None
    assert [path.name for path in plan.path.parent.iterdir()] == ["claude_desktop_config.json"]


def test_the_diff_shows_the_change_and_not_the_neighbours_keys(tmp_path: Path) -> None:
    servers = {"other": {"command": "x", "env": {"API_KEY": "sk-secret"}}}
    config("cursor", tmp_path, json.dumps({"mcpServers": servers}, indent=2))
    diff = planned("cursor", tmp_path).diff
    assert '+      "command": "/opt/pygent/bin/pygent",' in diff.splitlines()
    assert "sk-secret" not in diff


def test_installing_twice_changes_nothing_and_makes_no_second_backup(tmp_path: Path) -> None:
    path = config("cursor", tmp_path, '{"mcpServers": {}}')
    assert apply(planned("cursor", tmp_path), now=NOON) == path.with_name(
        "mcp.json.20261121-120000.pygent-backup"
    )
    written = path.read_bytes()
    again = planned("cursor", tmp_path)
    assert (again.changed, again.diff) == (False, "")
    assert again.notes == (f'The entry "pygent" is already in "{path}": nothing to change.',)
    assert apply(again) is None
    assert path.read_bytes() == written
    assert backups(path) == ["mcp.json.20261121-120000.pygent-backup"]


def test_the_backup_is_the_file_as_it_was_and_a_second_one_does_not_overwrite_it(tmp_path: Path) -> None:
    path = config("cursor", tmp_path, '{"mcpServers": {} }')
    first = apply(planned("cursor", tmp_path), now=NOON)
    second = apply(planned("cursor", tmp_path, remove=True), now=NOON)
    assert first is not None
    assert second is not None
    assert first.read_text() == '{"mcpServers": {} }'
    assert second.name == "mcp.json.20261121-120000-2.pygent-backup"
    assert NAME in second.read_text()
    assert backups(path) == [second.name, first.name]


def test_a_file_changed_since_it_was_planned_for_is_not_overwritten(tmp_path: Path) -> None:
    path = config("claude-code", tmp_path, '{"numStartups": 1}')
    plan = planned("claude-code", tmp_path)
    path.write_text('{"numStartups": 2}')
    with pytest.raises(FileRefused, match=r"changed by another program meanwhile\. Run this again"):
        apply(plan)
    assert path.read_text() == '{"numStartups": 2}'


def test_the_mode_is_kept_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    path = config("cursor", tmp_path, "{}")
    path.chmod(0o640)
    backup = apply(planned("cursor", tmp_path))
    assert backup is not None
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(backup.stat().st_mode) == 0o640
    assert sorted(path.parent.iterdir()) == sorted([path, backup])


def test_a_new_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    plan = planned("cursor", tmp_path)
    apply(plan)
    assert stat.S_IMODE(plan.path.stat().st_mode) == 0o600


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "cursor.json"
    target.parent.mkdir()
    target.write_text("{}")
    path = tmp_path / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.symlink_to(target)
    apply(planned("cursor", tmp_path))
    assert path.is_symlink()
    assert NAME in json.loads(target.read_text())["mcpServers"]


def test_a_path_that_is_no_file_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / ".cursor" / "mcp.json").mkdir(parents=True)
    with pytest.raises(FileRefused, match=r"cannot be read: Is a directory\. Check its permissions"):
        planned("cursor", tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even root may write")
def test_a_file_that_cannot_be_written_is_refused_with_a_cure() -> None:
    plan = planned("cursor", Path("/proc/pygent"))
    with pytest.raises(FileRefused, match=r"cannot be written: .+ Check the permissions"):
        apply(plan)


# What is refused


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cursor", '{\n  "mcpServers": {,}\n}', r"not valid JSON: line 2, column 18: .+Mend that line"),
        ("cursor", '{\n  // mine\n  "mcpServers": {}\n}', r"not valid JSON: line 2, column 3: "),
        ("cursor", "\ufeff{nope}", r"not valid JSON: line 1, column 2: "),
        ("vscode", '{\n  /* a\n  b */ "servers": {]\n}', r"not valid JSON: line 3, column 20: "),
        ("vscode", '{"servers": {,}}', r"not valid JSON: line 1, column 14: "),
        ("cursor", '{"a": NaN}', r"line 1, column 7: NaN is not JSON"),
        ("cursor", "[]", r'holds no JSON object\. Begin it with {"mcpServers": {}}'),
        ("cursor", '{"mcpServers": []}', r'"mcpServers" that is not an object\. Make it {} in the file'),
        ("cursor", "{}".encode("utf-16"), r"is not UTF-8 text\. Save it as UTF-8"),
    ],
)
def test_a_file_the_host_would_not_understand_is_refused_and_left_alone(
    tmp_path: Path, name: str, content: str | bytes, message: str, remove: bool
) -> None:
    path = config(name, tmp_path, content)
    before = path.read_bytes()
    with pytest.raises(ConfigInvalid, match=message):
        planned(name, tmp_path, remove=remove)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_is_taken_for_a_new_one(tmp_path: Path) -> None:
    path = config("vscode", tmp_path, "\n")
    apply(planned("vscode", tmp_path))
    assert list(json.loads(path.read_text())["servers"]) == [NAME]


# What stays as it was

OTHERS = {"zeta": {"command": "z", "unknown": [1.50, {}, []]}, "alpha": {"command": "ü"}}


@pytest.mark.parametrize("indent", [2, 4, "\t", 3])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_style_of_the_file_is_taken_up_and_every_other_line_kept(
    tmp_path: Path, indent: int | str, newline: str, mark: str, end: str
) -> None:
    document = {"theme": "dark", "mcpServers": OTHERS, "last": None}
    text = json.dumps(document, indent=indent, ensure_ascii=False).replace("\n", newline)
    path = config("cursor", tmp_path, mark + text + end)
    apply(planned("cursor", tmp_path))
    installed = {**document, "mcpServers": {**OTHERS, NAME: ENTRY.as_json()}}
    expected = json.dumps(installed, indent=indent, ensure_ascii=False).replace("\n", newline)
    assert path.read_bytes().decode() == mark + expected + end
    apply(planned("cursor", tmp_path, remove=True))
    assert path.read_bytes().decode() == mark + text + end


def test_a_file_on_one_line_stays_on_one_line(tmp_path: Path) -> None:
    path = config("cursor", tmp_path, '{"a":1,"mcpServers":{"b":{}},"c":[1,2]}')
    apply(planned("cursor", tmp_path))
    entry = json.dumps(ENTRY.as_json())
    assert path.read_text() == f'{{"a":1,"mcpServers":{{"b":{{}}, "pygent": {entry}}},"c":[1,2]}}'
    apply(planned("cursor", tmp_path, remove=True))
    assert path.read_text() == '{"a":1,"mcpServers":{"b":{}},"c":[1,2]}'


def test_an_outdated_entry_is_brought_up_to_date_and_keeps_what_a_person_added(tmp_path: Path) -> None:
    ours = {"command": "/old/pygent", "disabled": True, "args": ["serve"], "env": {"PYGENT_PORT": "0"}}
    path = config("cursor", tmp_path, json.dumps({"mcpServers": {NAME: ours, **OTHERS}}, indent=2))
    plan = planned(
        "cursor", tmp_path, entry=Entry(command="/new", args=("serve",), env={"PYGENT_AUTH": "none"})
    )
    apply(plan)
    env = {"PYGENT_PORT": "0", "PYGENT_AUTH": "none"}
    expected = {"mcpServers": {NAME: {**ours, "command": "/new", "env": env}, **OTHERS}}
    assert path.read_text() == json.dumps(expected, indent=2)
    assert plan.entry == Entry(command="/new", args=("serve",), env=env)


@pytest.mark.parametrize("present", [None, "x", {"url": "http://127.0.0.1:8700/mcp"}])
def test_an_entry_that_starts_no_program_is_replaced_whole(tmp_path: Path, present: object) -> None:
    path = config("cursor", tmp_path, json.dumps({"mcpServers": {NAME: present}}))
    apply(planned("cursor", tmp_path))
    assert json.loads(path.read_text()) == {"mcpServers": {NAME: ENTRY.as_json()}}


def test_removing_what_is_not_there_says_so_and_makes_no_file(tmp_path: Path) -> None:
    plan = planned("cursor", tmp_path, remove=True)
    assert plan.notes == (f'There is no entry "pygent" in "{plan.path}": nothing to remove.',)
    assert (plan.changed, plan.after, apply(plan)) == (False, None, None)
    assert list(tmp_path.iterdir()) == []


def test_removing_takes_out_an_entry_that_stands_there_twice(tmp_path: Path) -> None:
    path = config("cursor", tmp_path, '{"mcpServers": {"pygent": {}, "a": {}, "pygent": {}}}')
    apply(planned("cursor", tmp_path, remove=True))
    assert path.read_text() == '{"mcpServers": {"a": {}}}'


# Comments

VSCODE = """{
\t// prompted for once
\t"inputs": [
\t\t{"id": "key", "type": "promptString", /* hidden */ "password": true,},
\t],
\t"servers": {
\t\t// https://example.org // "quoted"
\t\t"docs": {
\t\t\t"url": "https://example.org/mcp", // not a // comment in "https://"
\t\t}, /* the last */ // one
\t\t// "old": {},
\t},
} // end
"""


def test_comments_and_trailing_commas_are_kept_around_a_new_entry(tmp_path: Path) -> None:
    path = config("vscode", tmp_path, VSCODE)
    apply(planned("vscode", tmp_path))
    ours = """\
\t\t// "old": {},
\t\t"pygent": {
\t\t\t"type": "stdio",
\t\t\t"command": "/opt/pygent/bin/pygent",
\t\t\t"args": [
\t\t\t\t"serve"
\t\t\t]
\t\t},
"""
    assert path.read_text() == VSCODE.replace('\t\t// "old": {},\n', ours)
    apply(planned("vscode", tmp_path, remove=True))
    assert path.read_text() == VSCODE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"servers": {"pygent": {}, // note\n "b": {}}}', '{"servers": {// note\n "b": {}}}'),
        ('{"servers": {\n// about\n"pygent": {} }}', '{"servers": {\n// about\n}}'),
        ('{"servers": {"b": {}, // b\n"pygent": {} }}', '{"servers": {"b": {} // b\n}}'),
        ('{"servers": {"b": {}, /* x */ "pygent": {}}}', '{"servers": {"b": {} /* x */}}'),
        ('{"servers": {"pygent": {} /* x */, "b": {}}}', '{"servers": {/* x */ "b": {}}}'),
        ('{"servers": {\n  "b": {},\n  "pygent": {},\n}}', '{"servers": {\n  "b": {},\n}}'),
        ('{"servers": {\n  "pygent": {},\n},}', '{"servers": {},}'),
    ],
)
def test_comments_are_kept_around_a_removed_entry(tmp_path: Path, before: str, after: str) -> None:
    path = config("vscode", tmp_path, before)
    apply(planned("vscode", tmp_path, remove=True))
    assert path.read_text() == after


@pytest.mark.parametrize(
    ("remove", "cure"),
    [(False, r'Put this into "servers" by hand: "pygent": {"type"'), (True, r'Take the entry "pygent" out')],
)
def test_a_change_that_would_lose_a_comment_is_refused_with_what_to_do_by_hand(
    tmp_path: Path, remove: bool, cure: str
) -> None:
    text = '{"servers": {"pygent": {"command": /* mine */ "x", "args": ["serve", /* keep */ "-v"]}}}'
    path = config("vscode", tmp_path, text)
    with pytest.raises(ConfigInvalid, match=cure):
        planned("vscode", tmp_path, remove=remove)
    assert path.read_text() == text


# Properties

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
KEYS = st.sampled_from(["mcpServers", "pygent", "a", "b", "{", '"', "//", ",}"]) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
SERVERS = st.dictionaries(KEYS.filter(lambda key: key != NAME), VALUES, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any JSON object, with an object of servers somewhere in it, or without one."""
    members = draw(st.dictionaries(KEYS.filter(lambda key: key != "mcpServers"), VALUES, max_size=4))
    servers = draw(st.none() | SERVERS)
    return members if servers is None else inserted(members, draw(st.integers(0, 4)), "mcpServers", servers)


def inserted(members: dict[str, Any], at: int, key: str, value: Any) -> dict[str, Any]:
    items = list(members.items())
    return dict([*items[:at], (key, value), *items[at:]])


IN_TMP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
SPOT = ("mcpServers", NAME)


@IN_TMP
@given(documents(), st.sampled_from([None, 0, 1, 2, 4, "\t"]), st.booleans())
def test_install_then_remove_gives_back_an_equal_document(
    tmp_path: Path, document: dict[str, Any], indent: int | str | None, ascii: bool
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii)
    path = config("cursor", tmp_path, text)
    apply(planned("cursor", tmp_path))
    installed = json.loads(path.read_bytes())
    assert installed["mcpServers"][NAME] == ENTRY.as_json()
    apply(planned("cursor", tmp_path, remove=True))
    assert json.loads(path.read_bytes()) == {"mcpServers": {}, **document}
    if document.get("mcpServers"):
        assert path.read_bytes() == text.encode()


BLANKS = st.sampled_from(["", " ", "\n", "\r\n\t", "  \n    "])
REMARKS = st.sampled_from(
    ["", "", '// {"a": 1,\n', "/**/", "/* }, */", '// \\"\r\n', "/* *\n// x \n*/", "//\n"]
)


@st.composite
def jsonc(draw: st.DrawFn, value: Any) -> str:
    """The value as JSON with comments, blanks and trailing commas between tokens, but not in our entry."""

    def gap() -> str:
        return draw(BLANKS) + draw(REMARKS) + draw(BLANKS)

    def pair(key: str, inner: Any) -> str:
        inside = "" if key == NAME else gap()
        return f"{json.dumps(key)}{inside}:{inside}{draw(jsonc(inner))}"

    def listed(items: list[str]) -> str:
        last = draw(st.sampled_from(["", ","])) if items else ""
        return ",".join(items) + last + gap()

    if isinstance(value, dict):
        return "{" + listed([f"{gap()}{pair(*item)}{gap()}" for item in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + listed([f"{gap()}{draw(jsonc(item))}{gap()}" for item in value]) + "]"
    return json.dumps(value)


@st.composite
def annotated(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    document = draw(documents())
    return document, draw(BLANKS) + draw(REMARKS) + draw(jsonc(document)) + draw(REMARKS)


@settings(deadline=None)
@given(annotated())
@example(({"mcpServers": {"a": 1}}, '{"mcpServers": {"a": 1 // c\n}}'))
@example(({"mcpServers": {}}, '{"mcpServers": { // c\n}}'))
def test_any_comments_survive_install_then_remove(case: tuple[dict[str, Any], str]) -> None:
    document, text = case
    source = edit.read(text, comments=True)
    assert source.document == document
    installed = edit.put(text, SPOT, ENTRY.as_json(), comments=True)
    assert edit.lookup(edit.read(installed, comments=True).document, SPOT) == ENTRY.as_json()
    removed = edit.read(edit.drop(installed, SPOT, comments=True), comments=True)
    assert removed.document == {"mcpServers": {}, **document}
    assert removed.remarks == source.remarks


@settings(deadline=None)
@given(documents(), st.data())
def test_removing_loses_only_the_entry_wherever_it_stands(
    document: dict[str, Any], data: st.DataObject
) -> None:
    servers = document.get("mcpServers", {})
    document = {**document, "mcpServers": inserted(servers, data.draw(st.integers(0, 3)), NAME, 1)}
    text = data.draw(jsonc(document))
    source = edit.read(text, comments=True)
    removed = edit.read(edit.drop(text, SPOT, comments=True), comments=True)
    assert removed.document == {**document, "mcpServers": servers}
    assert removed.remarks == source.remarks


# Proof

SERVER = """
import os, sys
from mcp.server import MCPServer

assert "PYTEST_CURRENT_TEST" not in os.environ, "a host passes nothing of ours on"
server = MCPServer(os.environ["PYGENT_NAME"])
for name in os.listdir("."):
    server.add_tool(lambda: "", name=name.partition(".")[0], description="one per file in the working folder")
server.run()
"""

PAGED = """
import anyio
from mcp import Tool
from mcp.types import ListToolsResult
from mcp.server import Server
from mcp.server.stdio import stdio_server

async def list_tools(context, params):
    page = int(params.cursor or 0) if params else 0
    tools = [Tool(name=f"tool{page}", input_schema={"type": "object"})]
    return ListToolsResult(tools=tools, next_cursor=str(page + 1) if page < 2 else None)

async def main():
    server = Server("paged", on_list_tools=list_tools)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())

anyio.run(main)
"""


def script(folder: Path, code: str, **env: str) -> Entry:
    path = folder / "server.py"
    path.write_text(code)
    return Entry(command=sys.executable, args=(str(path),), env=env)


@pytest.mark.anyio
async def test_the_proof_starts_the_entry_as_a_host_does_and_counts_its_tools_in_both_eras(
    tmp_path: Path,
) -> None:
    (tmp_path / "second.txt").touch()
    legacy, modern = await prove(script(tmp_path, SERVER, PYGENT_NAME="t"), 30, home=tmp_path)
    assert (legacy.mode, legacy.tools, legacy.protocol) == ("legacy", 2, "2025-11-25")
    assert (modern.mode, modern.tools, modern.protocol) == ("auto", 2, "2026-07-28")
    assert 0 < legacy.seconds < 30


@pytest.mark.anyio
async def test_the_proof_counts_the_tools_of_every_page(tmp_path: Path) -> None:
    assert [found.tools for found in await prove(script(tmp_path, PAGED), 30, home=tmp_path)] == [3, 3]


@pytest.mark.anyio
async def test_a_server_that_ends_is_quoted_with_its_last_lines_on_stderr(tmp_path: Path) -> None:
    entry = script(
        tmp_path, "import sys\nfor n in range(9): print('line', n, file=sys.stderr)\nsys.exit('no db')"
    )
    with pytest.raises(ServerUnavailable) as caught:
        await prove(entry, 30, home=tmp_path)
    assert str(caught.value) == (
        'Server "pygent" did not list its tools (mode legacy): Connection closed; '
        'its last lines on stderr were "line 5 / line 6 / line 7 / line 8 / no db". '
        f"Run it yourself: {sys.executable} {entry.args[0]}"
    )


@pytest.mark.anyio
async def test_a_server_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    entry = script(tmp_path, "import sys\nsys.stdin.read()")
    with pytest.raises(ServerUnavailable, match="did not list its tools within 1 s"):
        await prove(entry, 1, home=tmp_path)


@pytest.mark.anyio
async def test_a_command_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match=re.escape("cannot be started: " + os.strerror(2))):
        await prove(Entry(command=str(tmp_path / "gone")), 30, home=tmp_path)
