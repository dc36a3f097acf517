"""Values that stand elsewhere than in the config file: `${VAR}`, `${VAR:-default}`, `${file:PATH}` and
`${keyring:SERVICE/NAME}`; also VS Code's `${env:VAR}`.

The one rule: a sentence about a reference names the reference, never what it stands for.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pygent_shared.errors import MissingExtra

Source = Literal["variable", "file", "keyring"]

VARIABLE = re.compile(r"\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_ELSEWHERE = re.compile(r"\$\{(?P<source>file|keyring):(?P<place>[^}]*)\}")
_ANY = re.compile(f"{VARIABLE.pattern}|{_ELSEWHERE.pattern}")
_ONLY_VS_CODE = re.compile(r"\$\{(?:input|command|workspaceFolder|userHome)[^}]*\}")
# No key is longer; a reference to a disk image is a mistake.
MOST_BYTES = 64 * 1024


class Unresolved(ValueError):
    """Why a reference cannot be followed, and what to type: a clause."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One reference of an entry, followed."""

    where: str
    """The key it stands in: "env.TOKEN", "args", "url"."""
    source: Source
    name: str
    """The variable's name, the file's whole path, or `SERVICE/NAME`."""
    value: str = field(repr=False)


def variables(text: str) -> list[str]:
    """The environment variables that a text needs: those without a default."""
    needed = (match["name"] for match in VARIABLE.finditer(text) if match["default"] is None)
    return list(dict.fromkeys(needed))


def has_reference(text: str) -> bool:
    """Whether some part of the text stands elsewhere."""
    return _ANY.search(text) is not None


def filled(text: str, where: str, sources: Sources, followed: list[Reference]) -> str:
    """The text with every reference followed; each is also added to `followed`.

    Raises:
        Unresolved: one leads nowhere.
    """
    if found := _ONLY_VS_CODE.search(text):
        raise Unresolved(f'its "{where}" uses {found[0]}, which only VS Code can fill in; write the value')

    def value(match: re.Match[str]) -> str:
        reference = _followed(match, where, sources)
        followed.append(reference)
        return reference.value

    return _ANY.sub(value, text)


def _followed(match: re.Match[str], where: str, sources: Sources) -> Reference:
    place = match["place"]
    try:
        match match["source"]:
            case "file":
                if not place or "\0" in place:
                    raise Unresolved("must name a file, as in ${file:PATH}")
                path = sources.folder / os.path.expanduser(place)
                return Reference(where=where, source="file", name=str(path), value=sources.read(path))
            case "keyring":
                service, slash, name = place.rpartition("/")
                if not (service and slash and name):
                    raise Unresolved("must name both, as in ${keyring:SERVICE/NAME}")
                return Reference(where=where, source="keyring", name=place, value=sources.ask(service, name))
    except Unresolved as error:
        raise Unresolved(f'its "{where}" needs {match[0]}, which {error}') from error
    variable = match["name"]
    found = sources.environ.get(variable) or match["default"]
    if found is None:
        raise Unresolved(
            f'its "{where}" needs the environment variable {variable}, which is not set; '
            f"set it (export {variable}=…) or give a default: ${{{variable}:-…}}"
        )
    return Reference(where=where, source="variable", name=variable, value=found)


def secret_in(path: Path) -> str:
    """What a file holds, without the line end that editors add.

    Raises:
        Unresolved: it cannot be read, or holds no such thing as a secret.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unresolved("is no file; name one that holds the value")
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError as error:
        raise Unresolved(f'does not exist; put the value into "{path}"') from error
    except UnicodeDecodeError as error:
        raise Unresolved("is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise Unresolved(f"cannot be read: {error.strerror}; check its permissions") from error
    if len(content) > MOST_BYTES:
        raise Unresolved(f"holds more than {MOST_BYTES // 1024} KiB; name a file that holds only the value")
    if not text or "\0" in text:
        raise Unresolved("holds no value; write it into the file")
    return text


def _without_waiting(path: str, flags: int) -> int:
    """A pipe in the place of a file would be waited for without end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def secret_of_keyring(service: str, name: str) -> str:
    """What the system's keyring keeps under these two names.

    Raises:
        Unresolved: it keeps nothing there, cannot be asked, or its library is not installed.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise Unresolved(f"cannot be followed. {MissingExtra('The keyring', 'keyring')}") from error
    try:
        kept: str | None = keyring.get_password(service, name)
    except KeyringError as error:
        said = str(error).partition(". ")[0] or type(error).__name__
        why = f"the keyring does not give ({said}); unlock the system's keyring, or set one up"
        raise Unresolved(why) from error
    if not kept:
        raise Unresolved(f"the keyring does not hold; store it: keyring set {service} {name}")
    return kept


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where references lead.

    Args:
        environ: the environment variables.
        folder: what the path of a `${file:…}` is relative to.
        read: reads a file (a path below `folder`, or absolute); raises Unresolved.
        ask: asks the system's keyring for (service, name); raises Unresolved.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path = field(default_factory=Path)
    read: Callable[[Path], str] = secret_in
    ask: Callable[[str, str], str] = secret_of_keyring
