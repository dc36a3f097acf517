"""The command `pygent`, as a person and a script meet it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from pygent_registry.cli import COMMANDS, main
from pygent_registry.cli.ask import collection_of
from pygent_registry.cli.call import shown
from pygent_registry.cli.terminal import columns
from pygent_shared.embeddings import engine_for
from pygent_shared.settings import Settings

pytestmark = pytest.mark.usefixtures("own_logging")

PROGRAM = str(Path(sys.executable).with_name("pygent"))

Config = Callable[..., str]
Flags = list[str]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """`config(name=entry, …)` writes a config file and gives its path."""

    def written(**servers: Any) -> str:
        path = tmp_path / "pygent.json"
        path.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        return str(path)

    return written


@pytest.fixture
def own(tmp_path: Path) -> Flags:
    """Flags that keep a command inside `tmp_path`."""
    return ["--data-dir", str(tmp_path / "data"), "--embedder", "none"]


def process(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120, **options)


# Help, and what cannot be understood.


def test_help_comes_at_once_because_nothing_heavy_is_imported() -> None:
    script = (
        "import sys\n"
        "from pygent_registry.cli import COMMANDS, main\n"
        "codes = [main(['--help']), *(main([name, '--help']) for name in COMMANDS)]\n"
        "heavy = {'mcp', 'pydantic', 'anyio', 'httpx', 'starlette', 'uvicorn', 'apsw', 'tqdm', 'asyncio',\n"
        "         'importlib.metadata'}\n"
        "sys.exit(f'{codes} {heavy & set(sys.modules)}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == f"{[0] * (len(COMMANDS) + 1)} set()"


def test_each_command_has_a_line_of_help_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    overview = capsys.readouterr().out
    for name, (line, _) in COMMANDS.items():
        assert line in overview
        assert main(["help", name]) == 0
        assert f"example: pygent {name}" in capsys.readouterr().out


def test_a_demo_that_there_is_not_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "workflw"]) == 2
    assert capsys.readouterr().err == 'There is no demo "workflw". Did you mean "workflow"?\n'


def test_a_demo_changes_no_repository_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "repository").mkdir()
    assert main(["demo", "workflow", "--keep", str(tmp_path)]) == 2
    assert "is there already. Name another folder: --keep FOLDER" in capsys.readouterr().err
    assert not list((tmp_path / "repository").iterdir())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pygent-factory 0.")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lst"], 'There is no command "lst". Did you mean "list"? See: pygent --help'),
        (["help", "lst"], 'There is no command "lst". Did you mean "list"? See: pygent --help'),
        (
            ["--verison"],
            'pygent: there is no option "--verison". Did you mean "--version"? See: pygent --help',
        ),
        (
            ["list", "--jsn"],
            'pygent list: there is no option "--jsn". Did you mean "--json"? See: pygent list --help',
        ),
        (
            ["up", "--prot", "1"],
            'pygent up: there is no option "--prot". Did you mean "--port"? See: pygent up --help',
        ),
        (
            ["ask", "--wiat=3"],
            'pygent ask: there is no option "--wiat". Did you mean "--wait"? See: pygent ask --help',
        ),
        (["list", "memory"], 'pygent list: "memory" is one word too many. See: pygent list --help'),
        (["list", "-x"], 'pygent list: "-x" is one word too many. See: pygent list --help'),
        (["install", "cursr"], 'There is no host "cursr". Did you mean "cursor"?'),
        (["serve", "--transport", "htp"], 'There is no transport "htp". Did you mean "http"?'),
        (["ask", ".", "x", "--wait", "soon"], '"soon" is no number of seconds. See: pygent ask --help'),
        (["ask", "."], "required: QUESTION. See: pygent ask --help"),
        (["up", "--port", "99999"], "--port is '99999', but it must be a whole number from 0 to 65535."),
        (
            ["list", "--config", "/nowhere.json"],
            '"/nowhere.json" does not exist. Name an existing config file',
        ),
        (["call", "x", "word"], "word: is no key=value. Quote a value with blanks: key='some words'"),
        (["ask", "/nowhere", "x"], '"/nowhere" does not exist. Name a folder, or a document.'),
        (["ask", ".", " "], "QUESTION: is empty."),
    ],
)
def test_what_cannot_be_understood_is_answered_in_one_sentence_on_stderr(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_exit_codes_and_streams_are_those_of_a_real_process() -> None:
    helped, misspelled = process("--help"), process("lsit")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert (misspelled.returncode, misspelled.stdout) == (2, "")
    assert misspelled.stderr == 'There is no command "lsit". Did you mean "list"? See: pygent --help\n'


def test_a_reader_that_stops_early_ends_it_quietly() -> None:
    with subprocess.Popen([PROGRAM, "--help"], stdout=PIPE, stderr=PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0


def test_ctrl_c_ends_it_quietly(config: Config, server: Any, tmp_path: Path, own: Flags) -> None:
    """The server writes its process id to a pipe, so the interrupt comes when it is up or starting."""
    os.mkfifo(started := tmp_path / "started")
    path = config(slow=server("stubborn", started))
    words = ["call", "slow__wait", "--config", path, *own]
    with subprocess.Popen([PROGRAM, *words], stderr=PIPE, text=True) as running:
        assert running.stderr is not None
        with open(os.open(started, os.O_RDWR)) as pids:
            assert int(pids.readline()) > 0
            running.send_signal(signal.SIGINT)
            assert running.stderr.read() == ""
    assert running.returncode == 130


# list


def test_list_shows_servers_their_state_and_their_tools(
    config: Config, server: Any, own: Flags, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(
        memory={"server": "memory"},
        old=server("well_behaved"),
        broken=server("exits"),
        off={"command": "x", "disabled": True},
        bad={"comand": "x"},
    )
    assert main(["list", "--config", path, *own]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "memory: up, 6 tools (2026 era, in-process)" in out
    assert "  memory__memory_get      Read memories whole, by id" in "\n".join(out)
    assert "old: up, 9 tools (2025 era, stdio)" in out
    assert "  old__echo       Say it back." in out
    broken = next(number for number, line in enumerate(out) if line.startswith("broken: down; "))
    assert 'it exited with status 3; its last line on stderr was "no database here"' in out[broken]
    assert out[broken + 1].startswith("  Run it by hand to see more: ")
    assert "off: disabled in the config file" in out
    assert 'bad: unusable; it has an unknown key "comand". Did you mean "command"?' in out


def test_list_names_a_server_that_is_still_starting_and_does_not_wait_for_it(
    config: Config, server: Any, own: Flags, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(up=server("well_behaved"), hangs=server("hangs"))
    assert main(["list", "--config", path, "--list-patience", "0.2", *own]) == 0
    out = capsys.readouterr().out
    assert "up: up, 9 tools" in out
    assert "hangs: starting; look again in a moment, or check it: pygent doctor" in out


def test_list_json_is_one_document_for_machines(
    config: Config, server: Any, own: Flags, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(old=server("well_behaved"), broken=server("exits"))
    assert main(["list", "--json", "--config", path, *own]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    old, broken = document["servers"]
    assert document["config"] == path
    assert (old["name"], old["state"], old["era"]) == ("old", "ready", "2025")
    assert old["tools"][0] == {
        "name": "old__echo",
        "description": "Say it back.",
        "inputSchema": {"type": "object"},
    }
    assert "status 3" in broken["why"]
    assert "by hand" in broken["cure"]


def test_list_says_when_there_is_nothing(
    config: Config, own: Flags, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config()
    assert main(["list", "--config", path, *own]) == 0
    assert (
        capsys.readouterr().out
        == f'There are no servers in "{path}". Add one: pygent add filesystem ~/notes\n'
    )


def test_columns_stand_below_each_other() -> None:
    assert columns([("a", "x"), ("long", "y")], "  ") == ["  a     x", "  long  y"]


# call


def test_call_converts_arguments_by_the_tools_schema_and_prints_the_text(
    config: Config, own: Flags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(memory={"server": "memory"})
    (tmp_path / "note.txt").write_text("The gauge stands at North Quay.", encoding="utf-8")
    added = [f"text=@{tmp_path / 'note.txt'}", 'tags=["gauge"]', "importance=0.9"]
    assert main(["call", "memory__memory_add", *added, "--config", path, *own]) == 0
    assert "1 created" in capsys.readouterr().out
    assert (
        main(["call", "memory__memory_search", "query=gauge", "limit=1", "--json", "--config", path, *own])
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    (found,) = result["structuredContent"]["results"]
    assert (found["text"], found["tags"]) == ("The gauge stands at North Quay.", ["gauge"])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["memory__memory_serch", "query=x"], 2, 'Did you mean "memory__memory_search"?'),
        (["memory_search", "query=x"], 2, 'Did you mean "memory__memory_search"?'),
        (["memory__memory_search", "query=x", "limt=3"], 2, 'no argument "limt". Did you mean "limit"?'),
        (["memory__memory_search", "query=x", "limit=many"], 2, "must be a whole number. Such as: limit=3"),
        (["memory__memory_search"], 2, "query: is missing"),
        (["memory__memory_search", "query=x", "limit=1000"], 1, "limit"),
        (["broken__x"], 1, 'it exited with status 3; its last line on stderr was "no database here"'),
        (["off__x"], 1, 'Server "off" is disabled in the config file. Use it again: pygent enable off'),
        (["bad__x"], 1, 'Server "bad" cannot be used: it has neither command, url nor server'),
        (["old__fail"], 1, 'Server "old" refused old__fail: as ordered.'),
        (["new__ask"], 1, "it asks its user or a model, which a host has and this command has not"),
    ],
)
def test_call_says_what_went_wrong_and_whose_fault_it_is(
    words: list[str],
    code: int,
    says: str,
    config: Config,
    server: Any,
    own: Flags,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = config(
        memory={"server": "memory"},
        broken=server("exits"),
        off={"command": "x", "disabled": True},
        bad={},
        old=server("well_behaved"),
        new=server("modern"),
    )
    assert main(["call", *words, "--config", path, *own]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert "Traceback" not in err


def test_call_starts_no_server_but_the_tools_own(
    config: Config, server: Any, own: Flags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = tmp_path / "started"
    path = config(old=server("well_behaved"), other=server("stubborn", started))
    assert main(["call", "old__echo", "a=1", "b=two words", "--config", path, *own]) == 0
    assert json.loads(capsys.readouterr().out) == {"a": 1, "b": "two words"}
    assert not started.exists()


def test_call_shows_a_progress_bar_on_a_terminal_and_only_there(
    config: Config, server: Any, own: Flags
) -> None:
    words = ["call", "old__count", "--config", config(old=server("well_behaved")), *own]
    plain = process(*words)
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "counted\n", "")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    on_terminal = subprocess.run([PROGRAM, *words], stdout=PIPE, stderr=theirs, timeout=60)
    os.set_blocking(ours, False)
    shown_there = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert on_terminal.stdout == b"counted\n"
    assert "old__count: 100%" in shown_there
    assert "step 3" in shown_there


def test_a_result_that_is_no_text_is_named() -> None:
    content = [
        {"type": "text", "text": "hello"},
        {"type": "image", "mimeType": "image/png", "data": "…"},
        {"type": "resource_link", "uri": "file:///a", "name": "a"},
        {"type": "resource", "resource": {"uri": "x:y", "text": "inside"}},
    ]
    assert list(shown({"content": content})) == [
        "hello",
        "[image/png; its data: --json]",
        "file:///a",
        "inside",
    ]
    assert list(shown({"content": [], "structuredContent": 3})) == ["3"]


# serve


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_serve_name_serves_one_entry_of_the_config_alone(
    config: Config, server: Any, own: Flags, tmp_path: Path, mode: Any
) -> None:
    other = tmp_path / "other"
    path = config(old=server("well_behaved"), other=server("stubborn", other))
    parameters = StdioServerParameters(command=PROGRAM, args=["serve", "old", "--config", path, *own])
    async with Client(parameters, mode=mode) as client:
        assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
    assert not other.exists()


@pytest.mark.anyio
async def test_serve_name_serves_a_server_of_the_suite(own: Flags) -> None:
    parameters = StdioServerParameters(command=PROGRAM, args=["serve", "memory", *own])
    async with Client(parameters) as client:
        assert "memory_add" in [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("memroy", 2, 'There is no server "memroy". Did you mean "memory"?'),
        ("ol", 2, 'Did you mean "old"?'),
        ("bad", 1, 'Server "bad" cannot be used: it has neither command, url nor server'),
    ],
)
def test_serve_knows_no_other_names(
    name: str,
    code: int,
    says: str,
    config: Config,
    server: Any,
    own: Flags,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = config(old=server("well_behaved"), bad={})
    assert main(["serve", name, "--config", path, *own]) == code
    assert says in capsys.readouterr().err


# ask


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "Field Notes"
    folder.mkdir()
    (folder / "gauge.md").write_text(
        "# The gauge\n\nThe gauge at North Quay was installed in 1987.\n\nIt is read every minute.\n",
        encoding="utf-8",
    )
    (folder / "boat.md").write_text("# The boat\n\nThe boat is called Annelise.\n", encoding="utf-8")
    return folder


def test_ask_answers_from_a_folder_with_numbered_citations_and_says_how(
    notes: Path, own: Flags, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(notes), "when was the gauge at north quay installed", *own]) == 0
    out, err = capsys.readouterr()
    assert "The gauge at North Quay was installed in 1987. [1]" in out
    assert f"[1] {notes}/gauge.md:3" in out
    assert "Retrieval: lexical (words only); PYGENT_EMBEDDER is none." in out
    assert "Extractive: these are the documents' own sentences, as no language model is configured." in out
    assert err == "Read in: 2 added; 0 documents unchanged.\n"


def test_ask_reads_in_only_what_changed_and_names_what_it_refused(
    notes: Path, own: Flags, capsys: pytest.CaptureFixture[str]
) -> None:
    question = ["ask", str(notes), "what is the boat called", *own]
    assert main(question) == 0
    (notes / "picture.md").write_bytes(b"\x89PNG\r\n\x00\x00")
    (notes / "boat.md").write_text("# The boat\n\nThe boat is called Berta now.\n", encoding="utf-8")
    capsys.readouterr()
    assert main(question) == 0
    out, err = capsys.readouterr()
    assert "The boat is called Berta now." in out
    assert f'Refused: "{notes}/picture.md" holds NUL bytes' in err
    assert "Read in: 1 updated; 1 document unchanged." in err


@pytest.mark.skipif(engine_for(Settings()) is None, reason="needs the embeddings extra")
def test_ask_waits_for_vectors_where_an_embedder_is_installed(notes: Path, tmp_path: Path) -> None:
    """Asked in words of which the documents have none; the child process keeps torch out of this one."""
    asked = process("ask", str(notes), "name of the ship", "--data-dir", str(tmp_path / "data"))
    assert asked.returncode == 0, asked.stderr
    assert "The boat is called Annelise. [1]" in asked.stdout
    assert "Retrieval: hybrid (meanings and words)." in asked.stdout


def test_ask_takes_a_single_document_and_prints_json(
    notes: Path, own: Flags, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(notes / "boat.md"), "what is the boat called", "--json", *own]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["collection"] == collection_of(notes / "boat.md")
    assert document["ingest"]["added"] == 1
    assert document["answer"]["quotes"][0]["citation"] == f"{notes}/boat.md:3"


def test_ask_says_when_nothing_answers(notes: Path, own: Flags, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", str(notes), "who won the world championship in chess", *own]) == 1
    assert f'Nothing in "{notes}" answers that.' in capsys.readouterr().out


def test_ask_says_what_a_server_could_not_do(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rag.db").write_bytes(b"this is no database" * 100)
    own = ["--data-dir", str(tmp_path / "data"), "--embedder", "none"]
    assert main(["ask", str(notes), "what is the boat called", *own]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "is damaged" in err
    assert "mv " in err


def test_a_collection_is_named_after_its_folder_and_told_apart_by_its_path() -> None:
    assert collection_of(Path("/a/Field Notes!")).startswith("field-notes-")
    assert collection_of(Path("/a/notes")) != collection_of(Path("/b/notes"))
    assert collection_of(Path("/")).startswith("documents-")
    assert len(collection_of(Path("/" + "x" * 200))) <= 64


# install


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_install_shows_writes_proves_and_takes_out_again(home: Path, config: Config, tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(home), "PYGENT_DATA_DIR": str(tmp_path / "data")}
    words = ["install", "cursor", "--config", config()]
    target = home / ".cursor" / "mcp.json"

    printed = process(*words, "--print", env=environ)
    assert printed.returncode == 0
    assert not target.exists()
    assert '"mcpServers"' in printed.stdout
    assert "+++ " in printed.stdout

    installed = process(*words, env=environ)
    assert installed.returncode == 0, installed.stderr
    assert f'Written: "{target}"' in installed.stdout
    assert "Started as Cursor will (2025 era): 0 tools listed after " in installed.stdout
    assert "Started as Cursor will (2026 era): 0 tools listed after " in installed.stdout
    entry = json.loads(target.read_text())["mcpServers"]["pygent"]
    assert entry["args"] == ["serve", "--config", words[-1]]
    assert entry["env"] == {"PYGENT_DATA_DIR": str(tmp_path / "data")}

    again = process(*words, "--json", env=environ)
    report = json.loads(again.stdout)
    assert not report["changed"]
    assert [proof["mode"] for proof in report["proof"]] == ["legacy", "auto"]
    assert again.stderr == f'The entry "pygent" is already in "{target}": nothing to change.\n'

    removed = process("install", "cursor", "--remove", env=environ)
    assert removed.returncode == 0
    assert "pygent-backup" in removed.stdout
    assert json.loads(target.read_text()) == {"mcpServers": {}}


def test_install_never_writes_a_secret_into_the_entry(home: Path, config: Config) -> None:
    environ = {**os.environ, "HOME": str(home), "PYGENT_TOKEN": "hush", "PYGENT_SPACE": "work"}
    done = process("install", "claude-code", "--print", "--json", "--config", config(), env=environ)
    assert json.loads(done.stdout)["entry"]["env"] == {"PYGENT_SPACE": "work"}


def test_install_refuses_a_config_that_pygent_could_not_read(home: Path) -> None:
    environ = {**os.environ, "HOME": str(home)}
    done = process("install", "cursor", "--config", str(home / "none.json"), env=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not exist" in done.stderr
    assert not (home / ".cursor").exists()
    environ["PYGENT_CONFIG"] = str(home / "none.json")
    removed = process("install", "cursor", "--remove", env=environ)
    assert removed.returncode == 0
    assert "nothing to remove" in removed.stderr
