"""Every setting there is: one row each, from which the environment variable, the config key, the default,
the help text and the docs follow.

The one rule: nothing else reads `os.environ` for a setting. A value comes, in this order, from the command
line, from `PYGENT_<NAME>`, from the variable another program has for it, from `"settings"` in the config
file, or from the row's default.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import platformdirs

from pygent_shared.errors import ConfigInvalid, FileRefused, SettingInvalid, UnknownName
from pygent_shared.jsonc import plain

PREFIX = "PYGENT_"

POSTGRES = "pgvector:"
"""What the index in a PostgreSQL is called by, before its URL."""


def row(
    default: Any,
    help: str,
    *,
    secret: bool = False,
    least: float | None = None,
    most: float | None = None,
    also: str = "",
) -> Any:
    """One setting: its default (a callable is called for it), the sentence that explains it, its bounds, and
    another program's variable that is read where ours is not set."""
    metadata = {"help": help, "secret": secret, "least": least, "most": most, "also": also}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def _user_data() -> Path:
    return Path(platformdirs.user_data_dir("pygent", appauthor=False))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole table. Build it with `load_settings`; tests may construct it with keyword arguments."""

    config: str = row("", "Config file of servers and settings; the user's own, else the shipped one.")
    data_dir: Path = row(_user_data, "Folder of the databases, of the access token and of the API keys.")
    log_level: Literal["debug", "info", "warning", "error"] = row(
        "warning", "The least severe message logged."
    )
    log_format: Literal["auto", "human", "json"] = row(
        "auto", "How log lines on stderr look; auto is human on a terminal and JSON lines otherwise."
    )
    host: str = row("127.0.0.1", "Address the HTTP endpoint listens on.")
    port: int = row(8700, "Port the HTTP endpoint listens on; 0 takes a free one.", least=0, most=65535)
    auth: Literal["token", "none"] = row(
        "token",
        "Who may call over HTTP: whoever sends the bearer token, an API key or a token of OAUTH_ISSUER; or "
        "everyone (loopback only).",
    )
    token: str = row("", "The bearer token for HTTP; empty generates one into DATA_DIR/token.", secret=True)
    oauth_issuer: str = row(
        "", "URL of the OAuth 2.1 authorization server whose access tokens (JWT) are accepted over HTTP."
    )
    oauth_jwks: str = row(
        "", "URL or file of that server's public keys; empty asks its metadata where they are."
    )
    oauth_audience: str = row(
        "",
        "Audience the access tokens must be for, and where it is a URL, the one hosts know /mcp by; "
        "empty is http://HOST:PORT/mcp.",
    )
    oauth_scopes: tuple[str, ...] = row((), "Scopes, comma-separated, that every access token must have.")
    oauth_roles_claim: str = row(
        "roles", "Claim of the access token that names its roles; a path with dots where it lies deeper."
    )
    caller_sessions: int = row(
        200,
        "Sessions of the 2025 era one caller may have open at a path; idle ones end after 30 minutes.",
        least=1,
    )
    allowed_hosts: tuple[str, ...] = row(
        (), "Further Host names HTTP requests may carry, comma-separated; loopback names always may."
    )
    allowed_origins: tuple[str, ...] = row(
        (), "Web origins, comma-separated, whose pages may call over HTTP."
    )
    session_idle_timeout: float = row(
        1800.0, "Seconds without a request after which an HTTP session of the 2025 era ends.", least=1
    )
    session_lifetime: float = row(
        604800.0, "Seconds after which an HTTP session of the 2025 era ends, however busy.", least=1
    )
    exit_with_parent: Literal["auto", "yes", "no"] = row(
        "auto",
        "Whether a server ends when the process that started it ends; auto is yes on stdio, no on HTTP.",
    )
    embedder: Literal["auto", "numpy", "sentence_transformers", "none"] = row(
        "auto",
        "What turns text into vectors; auto computes plain BERT models, as the built-in one is, in numpy "
        "(many texts by ONNX, where that is installed) and others by sentence_transformers.",
    )
    embedding_model: str = row(
        "all-MiniLM-L6-v2",
        "The sentence-transformers model: the built-in one, a local folder, or a hub name.",
    )
    durable_url: str = row(
        "",
        "PostgreSQL in which durable work is kept, such as postgresql://user:password@host/database, so that "
        "several machines share it; empty: durable.db in DATA_DIR.",
        secret=True,
    )
    workflow_workers: int = row(
        16,
        "Workflows one process carries out at once, but for those it takes over; 0 leaves them to others.",
        least=0,
    )
    workflow_limit: int = row(
        0, "Workflows that all processes together carry out at once; 0 is no limit.", least=0
    )
    agent_tasks: int = row(
        0, "Tasks one agent is given at once, where a feature names no coder; 0 is no limit.", least=0
    )
    redis_url: str = row(
        "",
        "Redis by which processes that do durable work tell each other what they are at, such as "
        "redis://user:password@host:6379/0; empty: each tells its own hosts alone.",
        secret=True,
    )
    vectors: Literal["memory", "exact", "faiss", "chroma", "pgvector"] = row(
        "memory",
        "What finds the nearest vectors: codes in memory; exact, which reads them all; or, extras, faiss or "
        "chroma, in memory too, or pgvector, in the PostgreSQL of POSTGRES_URL. The vectors themselves are "
        "kept in the database whichever it is.",
    )
    postgres_url: str = row(
        "",
        "Where pgvector is, such as postgresql://user:password@host/database; empty: where the standard PG* "
        "variables say.",
        secret=True,
    )
    rerank_model: str = row(
        "",
        "A cross-encoder of sentence-transformers that reads the best passages of a search anew: a local "
        "folder, or a hub name; empty is none.",
    )
    agents: str = row(
        "", "Folder of agents in files, TOML or YAML, beside the folder agents next to the config file."
    )
    models: str = row(
        "",
        "TOML file of language models that agents whose model is auto choose from, before those that are "
        "shipped; empty is none.",
    )
    literature_mail: str = row(
        "", "Mail address that goes with what agents ask arXiv, Semantic Scholar, OpenAlex and Crossref."
    )
    semantic_scholar_key: str = row("", "Key for more requests to Semantic Scholar.", secret=True)
    openalex_key: str = row(
        "", "Key for OpenAlex, which wants one for more than a few searches a day.", secret=True
    )
    remote_agents: str = row(
        "",
        'A2A agents elsewhere that the server "a2a" asks, as the JSON object that "agents" in the config '
        "file is; the registry gives it those by itself.",
        secret=True,
    )
    pins: Literal["on", "off"] = row(
        "on", "Whether what other servers offer, and how they start, must stay as it was approved."
    )
    trust_new_tools: Literal["allow", "ask"] = row(
        "allow", "Whether a tool that is new on a known server is shown at once, or once it is approved."
    )
    scan: Literal["block", "report", "off"] = row(
        "report",
        "What is done about definitions of other servers that give a model orders; block also hides them.",
    )
    space: str = row("default", "The memory space used when a call names none.")
    memory_tools: Literal["core", "graph", "classic", "admin"] = row(
        "core",
        "Which tools the memory server shows: core; graph adds the knowledge graph's; classic has the nine "
        "of the reference memory server alone; admin has all.",
    )
    memory_read_graph: Literal["paged", "full"] = row(
        "paged",
        "Whether a knowledge graph of over 20,000 tokens is read in parts, or whole as the reference memory "
        "server reads it.",
        also="MEMORY_READ_GRAPH",
    )
    memory_file: str = row(
        "",
        "JSONL file of the reference memory server whose graph is imported when the memory server starts.",
        also="MEMORY_FILE_PATH",
    )
    memory_file_mirror: Literal["on", "off"] = row(
        "off", "Whether that file is rewritten at each change of the default space's graph."
    )
    memory_mask: Literal["off", "secrets", "all"] = row(
        "off",
        "What is masked in a memory before it is kept: secrets are keys, tokens and card numbers; all is "
        "e-mail addresses, phone numbers and IBANs too.",
    )
    max_file_mb: int = row(50, "Largest file, in megabytes, that is read into a collection.", least=1)
    read_timeout: float = row(
        120.0, "Seconds that reading one file into a collection may take before it is refused.", least=0
    )
    read_from: tuple[str, ...] = row(
        (),
        "Folders, comma-separated, that files may be read from into collections, hidden ones apart; "
        "empty is anywhere over stdio, and your home folder over HTTP.",
    )
    private_urls: Literal["refuse", "allow"] = row(
        "refuse", "Whether web pages at private, loopback and link-local addresses may be read."
    )
    tools: Literal["all", "search", "auto"] = row(
        "auto",
        "What hosts are shown: all tools, or three to search and call them by; auto: see tools_token_limit.",
    )
    tools_token_limit: int = row(
        15_000, "Tokens that all tools' definitions may take before auto turns to search.", least=0
    )
    tools_pinned: tuple[str, ...] = row(
        (), "Tools that search mode shows all the same, comma-separated: names, or patterns like memory__*."
    )
    start_timeout: float = row(
        30.0,
        "Seconds that a server is waited for when it starts; after that it goes on in the background.",
        least=0,
    )
    call_timeout: float = row(
        300.0, "Seconds a call to another server may go without an answer or progress.", least=0
    )
    list_patience: float = row(
        1.5,
        "Seconds without another server coming up after which lists are answered without the rest.",
        least=0,
    )
    call_maximum: float = row(
        3600.0, "Seconds a call may take in all, whatever progress it reports; 0 is no limit.", least=0
    )
    queue_patience: float = row(
        30.0, 'Seconds a call waits for its turn at a server that is at its "concurrency".', least=0
    )
    ping_idle: float = row(
        60.0,
        "Seconds without a request after which a server that runs here is asked whether it still answers; "
        "0 never asks.",
        least=0,
    )
    max_message_mb: int = row(
        64, "Largest message, in megabytes, that a server which runs here may write.", least=1
    )
    answer_patience: float = row(
        600.0, "Seconds a host's user has to answer what a server asks, or an approval.", least=0
    )
    question_rate: int = row(
        60, "Questions a minute one server may put to hosts, unless it is trusted; 0 is no limit.", least=0
    )
    caller_rate: int = row(0, "Requests a minute one caller may make; 0 is no limit.", least=0)
    server_rate: int = row(0, "Requests a minute one server is given; 0 is no limit.", least=0)
    max_result_bytes: int = row(
        200_000, "Largest result of a tool passed on whole; a larger one is cut, with a link.", least=1000
    )
    audit: Literal["hash", "arguments", "off"] = row(
        "hash",
        "What DATA_DIR/audit.jsonl holds of a call's arguments: their hash, or all without known secrets; "
        "off writes none.",
    )
    audit_sync: Literal["second", "record", "never"] = row(
        "second",
        "When the audit is forced onto the disk, to outlive a crash of the machine: each second, before each "
        "answer, or never by us.",
    )
    audit_max_mb: int = row(
        64, "Megabytes after which the audit goes on in another file; all are kept. 0: never.", least=0
    )
    metrics: Literal["token", "open", "off"] = row(
        "token", "Who may read /metrics over HTTP: whoever sends the token, everyone, or nobody."
    )
    traces: str = row(
        "",
        "Where traces are sent (OTLP over HTTP), such as http://127.0.0.1:4318; empty: where the standard "
        "OTEL_* variables say, and nowhere without those.",
    )

    a2a: Literal["open", "token", "off"] = row(
        "open",
        "Whether deployed agents are served over A2A, and who may read their cards: everyone, or whoever "
        "sends the token.",
    )
    a2a_agents: tuple[str, ...] = row(
        (),
        "Which deployed agents are served over A2A, comma-separated: names, or patterns like docs-*; empty "
        "is all.",
    )
    a2a_legacy: Literal["on", "off"] = row(
        "on", "Whether A2A clients of protocol 0.3 and 0.2 are served too, under the same URLs."
    )
    a2a_url: str = row(
        "",
        "Address under which A2A clients reach this endpoint, where a proxy stands before it, such as "
        "https://agents.example.com; empty is the one they called.",
    )
    a2a_grpc_port: int = row(
        0,
        "Port on which agents are served over gRPC too; 0 for none. Needs the extra grpc.",
        least=0,
        most=65535,
    )
    a2a_grpc_url: str = row(
        "",
        "Address under which A2A clients reach that port, where a proxy stands before it, such as "
        "agents.example.com:443; empty is the host they called.",
    )
    a2a_suite: str = row(
        "",
        "URL of the MCP endpoint whose agents pygent-a2a serves, such as http://127.0.0.1:8700/mcp; empty "
        "starts a registry of its own.",
    )
    a2a_key: str = row(
        "", "PEM file of an EC P-256 private key that agent cards are signed with; empty signs none."
    )

    a2a_database: str = row(
        "",
        "PostgreSQL that A2A tasks are kept in, for several replicas, such as "
        "postgresql://user:password@host/database; empty keeps them in DATA_DIR/a2a.db.",
        secret=True,
    )
    a2a_keep_days: float = row(
        30.0, "Days that an A2A task is kept after its end; 0 keeps it for ever.", least=0
    )
    a2a_wait_days: float = row(
        7.0, "Days that an A2A task waits for its caller's answer; 0 lets it wait for ever.", least=0
    )
    a2a_repeat_seconds: float = row(
        600.0,
        "Seconds in which an A2A message that comes again, with the same id and words, is carried out once; "
        "0 carries out each.",
        least=0,
    )
    a2a_push: Literal["public", "anywhere", "off"] = row(
        "public",
        "Where A2A callers may have events of their tasks pushed: to public addresses, to any, or nowhere.",
    )
    a2a_max_mb: int = row(10, "Largest A2A request, in megabytes.", least=1)

    def over_http(self) -> Settings:
        """These settings where callers come over HTTP: files are read from the home folder unless more is
        allowed."""
        return dataclasses.replace(self, read_from=self.read_from or (os.path.expanduser("~"),))

    @property
    def vector_index(self) -> str:
        """What `open_vectors` is to open: the value of `vectors`, and with pgvector where that is."""
        return f"{POSTGRES}{self.postgres_url}" if self.vectors == "pgvector" else self.vectors

    @property
    def durable_store(self) -> Path | str:
        """Where durable work is kept: a file, or the URL of a PostgreSQL."""
        return self.durable_url or self.data_dir / "durable.db"

    def environ(self) -> dict[str, str]:
        """The `PYGENT_*` variables that give a child process these settings.

        Defaults are among them, or the child's own config file would change them. What is empty is left out.
        """
        texts = {setting.variable: as_text(getattr(self, setting.name)) for setting in rows()}
        return {variable: text for variable, text in texts.items() if text}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting as the docs, `--help` and `doctor` show it."""

    name: str
    type: Any
    default: Any
    help: str
    secret: bool
    least: float | None
    most: float | None
    also: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def variable_in(self, environ: Mapping[str, str]) -> str:
        """The variable that gives the value, ours or the other program's; "" where neither does."""
        return next((name for name in (self.variable, self.also) if name and environ.get(name)), "")

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if get_origin(self.type) is Literal:
            return "one of " + ", ".join(get_args(self.type))
        if get_origin(self.type) is tuple:
            return "a comma-separated list"
        kind = {int: "a whole number", float: "a number", Path: "a path", str: "text"}[self.type]
        if self.most is not None:
            return f"{kind} from {self.least} to {self.most}"
        return kind if self.least is None else f"{kind} of at least {self.least}"

    def parse(self, value: object, source: str) -> Any:
        """The value in the row's type.

        Raises:
            SettingInvalid: the value does not fit; `source` names where it came from.
        """
        try:
            parsed = _parser(self.type)(value)
            if not self._within(parsed):
                raise ValueError("out of bounds")
        except (ValueError, TypeError, RuntimeError) as error:
            shown = "(hidden)" if self.secret else value
            cure = f"Its default is {as_text(self.default) or 'empty'}; leave it out to use that."
            raise SettingInvalid(source, shown, self.expected, cure) from error
        return parsed

    def _within(self, value: Any) -> bool:
        # Written so that NaN, which compares with nothing, is outside.
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def as_text(value: object) -> str:
    """A setting's value as the text that a variable or a flag would hold."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _parser(type_: Any) -> Callable[[Any], Any]:
    if get_origin(type_) is Literal:
        return lambda value: get_args(type_)[get_args(type_).index(str(value).lower())]
    if get_origin(type_) is tuple:
        return _listed
    return {int: _whole, float: _number, Path: _path, str: _text}[type_]


def _listed(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list | tuple) else [value]
    words = [word.strip() for part in parts for word in _text(part).split(",")]
    return tuple(word for word in words if word)


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("has a fraction")
    return int(_not_truth(value))


def _number(value: Any) -> float:
    return float(_not_truth(value))


def _not_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError("true and false are no numbers")
    return value


def _path(value: Any) -> Path:
    # Absolute, because a child process may be given another working directory.
    return Path(value).expanduser().absolute()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


@cache
def rows() -> tuple[Row, ...]:
    """Every row of the table, in order."""
    hints = get_type_hints(Settings)
    return tuple(
        Row(
            name=item.name,
            type=hints[item.name],
            default=item.default_factory()
            if item.default_factory is not dataclasses.MISSING
            else item.default,
            **item.metadata,
        )
        for item in dataclasses.fields(Settings)
    )


def find_config(explicit: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The config file in force: the one named, `PYGENT_CONFIG`, or the user's own; None when there is none.

    The current folder is never searched: a config file starts programs, and a cloned repository must not.
    """
    named = explicit or environ.get(PREFIX + "CONFIG")
    if named:
        return _path(named)
    own = own_config()
    # os.path: a home that may not be looked into holds no config for us, and is no error.
    return own if os.path.exists(own) else None


def own_config() -> Path:
    """Where the user's own config file is, or would be."""
    return Path(platformdirs.user_config_dir("pygent", appauthor=False)) / "pygent.json"


def read_config(path: Path) -> dict[str, Any]:
    """A config file's JSON object; comments and trailing commas may stand in the file.

    Raises:
        FileRefused: the file cannot be read.
        ConfigInvalid: it is not a JSON object in UTF-8.
    """
    try:
        loaded = json.loads(plain(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError as error:
        raise FileRefused(path, "does not exist", "Name an existing config file: --config FILE") from error
    except OSError as error:
        raise FileRefused(path, f"cannot be read: {error.strerror}", "Check its permissions.") from error
    except json.JSONDecodeError as error:
        why = f"is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise ConfigInvalid(path, why, "Mend that line.") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(path, "is not UTF-8 text", "Save it as UTF-8.") from error
    if not isinstance(loaded, dict):
        raise ConfigInvalid(path, "holds no JSON object", 'Begin it with {"mcpServers": {…}}.')
    return loaded


def load_settings(
    config: Mapping[str, Any] | None = None,
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings in force.

    Args:
        config: the config file's JSON object; only its `"settings"` is read.
        flags: values from the command line; None means not given.
        environ: where `PYGENT_*` is looked up.

    Raises:
        SettingInvalid: a value does not fit its row.
        UnknownName: the config file names a setting that does not exist.
    """
    from_file = _section(config or {})
    known = {setting.name: setting for setting in rows()}
    for name in from_file:
        if name not in known:
            raise UnknownName("setting", name, known, "See them all: pygent doctor --settings")
    return Settings(**dict(_chosen(from_file, environ, flags or {})))


def _section(config: Mapping[str, Any]) -> dict[str, Any]:
    found = config.get("settings", {})
    if not isinstance(found, dict):
        cure = 'Write it so: "settings": {"log_level": "info"}'
        raise SettingInvalid('"settings" in the config file', found, "an object of names and values", cure)
    return found


def _chosen(
    from_file: Mapping[str, Any], environ: Mapping[str, str], flags: Mapping[str, object]
) -> Iterator[tuple[str, Any]]:
    for setting in rows():
        name = setting.name
        if flags.get(name) is not None:
            yield name, setting.parse(flags[name], "--" + name.replace("_", "-"))
        elif variable := setting.variable_in(environ):
            yield name, setting.parse(environ[variable], variable)
        elif name in from_file:
            yield name, setting.parse(from_file[name], f'"settings": "{name}" in the config file')
