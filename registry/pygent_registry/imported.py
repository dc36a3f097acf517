"""Other programs' servers as entries of ours: the config files of hosts, and the official MCP Registry's
`server.json` (https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json). Pure.

The one rule: a secret stays where it is. Its value becomes `${VARIABLE}`, and the variable is named, unless
the user says that values are to be copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pygent_registry.config import IGNORED, KEYS, fit_name

_SECRET_NAME = re.compile(r"(?i)token|secret|passw|pwd|key|auth|credential|cookie|dsn|bearer")
_SECRET_VALUE = re.compile(r"^(sk-|gh[pousr]_|github_pat_|xox[a-z]-|AKIA|glpat-|eyJ)|://[^/@\s]*:[^/@\s]*@")
_HAS_VARIABLE = re.compile(r"\$\{")
_VSCODE_INPUT = re.compile(r"\$\{input:([^}]+)\}")
_SCHEME = re.compile(r"^(Bearer|Basic|Token) ", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One server found elsewhere."""

    name: str
    entry: Entry
    variables: tuple[str, ...] = ()
    """Variables that stand in for values that were not copied."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One server that cannot be taken over, and why, in a clause."""

    name: str
    why: str


Found = Imported | Refused


def is_server_json(document: Mapping[str, Any]) -> bool:
    """Whether this describes one server, as the official registry does."""
    hosts = any(isinstance(document.get(key), dict) for key in ("mcpServers", "servers"))
    return not hosts and isinstance(document.get("name"), str) and bool({"packages", "remotes"} & {*document})


def servers(document: Mapping[str, Any], *, values: bool = False) -> Iterator[Found]:
    """The servers of a host's config file, or of a server.json.

    Args:
        document: the file's JSON object.
        values: whether secrets are copied.
    """
    if is_server_json(document):
        yield described(document)
        return
    for section in ("mcpServers", "servers"):
        listed = document.get(section)
        for name, raw in listed.items() if isinstance(listed, dict) else ():
            yield _of_host(name, raw, values)


def _of_host(name: str, raw: Any, values: bool) -> Found:
    if not isinstance(raw, dict):
        return Refused(name=name, why="it is no object")
    entry = {key: value for key, value in raw.items() if key in KEYS or key not in IGNORED}
    if entry.get("type") in ("stdio", "http", "streamable-http"):  # it shows
        del entry["type"]
    variables: list[str] = []
    for key in ("env", "headers"):
        if isinstance(raw.get(key), dict):
            entry[key] = {
                item: _referred(item, str(value), f"{name}_" if key == "headers" else "", values, variables)
                for item, value in raw[key].items()
            }
    if isinstance(entry.get("args"), list):
        entry["args"] = [_inputs(item, variables) for item in entry["args"]]
    if isinstance(entry.get("url"), str):
        entry["url"] = _inputs(entry["url"], variables)
    return Imported(name=fit_name(name), entry=entry, variables=tuple(dict.fromkeys(variables)))


def _inputs(text: Any, variables: list[str]) -> Any:
    """VS Code's `${input:name}`, which only VS Code can ask for, as a variable."""

    def variable(match: re.Match[str]) -> str:
        variables.append(_variable(match[1]))
        return f"${{{variables[-1]}}}"

    return _VSCODE_INPUT.sub(variable, text) if isinstance(text, str) else text


def _referred(name: str, value: str, prefix: str, values: bool, variables: list[str]) -> str:
    """A value, or the variable that stands in for it where it looks like a secret."""
    value = str(_inputs(value, variables))
    secret = _SECRET_NAME.search(name) or _SECRET_VALUE.search(value)
    if values or not secret or not value or _HAS_VARIABLE.search(value):
        return value
    variables.append(_variable(prefix + name))
    scheme = _SCHEME.match(value)
    return f"{scheme[0] if scheme else ''}${{{variables[-1]}}}"


def _variable(name: str) -> str:
    """A name as environment variables are spelled."""
    return re.sub(r"^(?=\d)", "_", re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")) or "VALUE"


# server.json.

_RUNNERS = {"npm": "npx", "pypi": "uvx", "oci": "docker"}


def described(document: Mapping[str, Any]) -> Found:
    """The entry for a server.json: its first package that can be run here, else its first remote."""
    name = fit_name(str(document["name"]).rpartition("/")[2])
    packages = [item for item in document.get("packages") or () if isinstance(item, dict)]
    for package in packages:
        kind = (package.get("transport") or {}).get("type", "stdio")
        if package.get("registryType") in _RUNNERS and kind == "stdio" and package.get("identifier"):
            return _packaged(name, package)
    for remote in document.get("remotes") or ():
        if isinstance(remote, dict) and remote.get("url"):
            return _remote(name, remote)
    kinds = ", ".join(sorted({str(item.get("registryType")) for item in packages})) or "none"
    return Refused(name=name, why=f"it has no package for npx, uvx or docker (but {kinds}) and no remote")


def _packaged(name: str, package: Mapping[str, Any]) -> Found:
    variables: list[str] = []
    env = dict(_environment(package, variables))
    kind, identifier, version = package["registryType"], str(package["identifier"]), package.get("version")
    runtime = _arguments(package.get("runtimeArguments"), variables)
    own = _arguments(package.get("packageArguments"), variables)
    match kind:
        case "npm":
            runtime = runtime or ["-y"]
            target = f"{identifier}@{version}" if version else identifier
        case "pypi":
            target = f"{identifier}@{version}" if version else identifier
        case _:
            passed = [word for variable in env for word in ("-e", variable)]
            runtime = ["run", "-i", "--rm", *passed, *(word for word in runtime if word != "run")]
            tagged = ":" in identifier.rpartition("/")[2] or "@" in identifier
            target = identifier if tagged or not version else f"{identifier}:{version}"
    command = str(package.get("runtimeHint") or _RUNNERS[kind])
    entry: Entry = {"command": command, "args": [*runtime, target, *own]}
    if env:
        entry["env"] = env
    return Imported(name=name, entry=entry, variables=tuple(dict.fromkeys(variables)))


def _remote(name: str, remote: Mapping[str, Any]) -> Found:
    variables: list[str] = []
    entry: Entry = {"url": _filled(remote, str(remote["url"]), variables)}
    if remote.get("type") == "sse":
        entry["type"] = "sse"
    headers = {
        str(header["name"]): _value(header, f"{name}_{header['name']}", variables)
        for header in remote.get("headers") or ()
        if isinstance(header, dict) and header.get("name") and _is_wanted(header)
    }
    if headers:
        entry["headers"] = headers
    return Imported(name=name, entry=entry, variables=tuple(dict.fromkeys(variables)))


def _environment(package: Mapping[str, Any], variables: list[str]) -> Iterator[tuple[str, str]]:
    for item in package.get("environmentVariables") or ():
        if isinstance(item, dict) and item.get("name") and _is_wanted(item):
            yield str(item["name"]), _value(item, str(item["name"]), variables)


def _is_wanted(item: Mapping[str, Any]) -> bool:
    """What is neither required nor has a value is left to the user."""
    return bool(item.get("isRequired") or item.get("value") or item.get("default"))


def _arguments(listed: Any, variables: list[str]) -> list[str]:
    """Positional and named arguments as words; a required one without a value becomes a variable."""
    words: list[str] = []
    for item in listed or ():
        if not isinstance(item, dict):
            continue
        if item.get("type") == "named" and item.get("name"):
            words.append(str(item["name"]))
            if _is_wanted(item):
                words.append(_value(item, str(item["name"]), variables))
        elif _is_wanted(item):
            words.append(_value(item, str(item.get("valueHint") or "value"), variables))
    return words


def _value(item: Mapping[str, Any], name: str, variables: list[str]) -> str:
    """The value that is given, or the variable that will give it."""
    fixed = item.get("value") or (None if item.get("isSecret") else item.get("default"))
    if fixed is not None:
        return _filled(item, str(fixed), variables)
    variables.append(_variable(name))
    return f"${{{variables[-1]}}}"


def _filled(item: Mapping[str, Any], text: str, variables: list[str]) -> str:
    """`{name}` in a value: by the default of `variables` in server.json, else by an environment variable."""
    known = item.get("variables") or {}

    def filled(match: re.Match[str]) -> str:
        inner = known.get(match[1])
        if not isinstance(inner, dict):
            return match[0]
        return _value(inner, match[1], variables)

    return _TEMPLATE.sub(filled, text)
