"""API keys: named, revocable, and kept only as hashes in DATA_DIR/keys.json, for its owner's eyes alone.

A key is 256 random bits, so one round of SHA-256 keeps it safe in the file; slow hashes are for secrets of
less than 112 bits (NIST SP 800-63B, section 5.1.2.2). The one rule: a file that is damaged, or that others
may write, gives nobody access and is never replaced.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from pygent_shared.errors import FileRefused, InvalidArgument, UnknownName
from pygent_shared.http.identity import Principal, Refusal
from pygent_shared.locks import locked
from pygent_shared.settings import Settings

log = logging.getLogger(__name__)

PREFIX = "pgk_"
VERSION = 1
# How soon a running endpoint takes over what was changed in the file.
LOOK_SECONDS = 1.0
# How exactly it is kept when a key was last used.
USED_SECONDS = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """What is kept of one key. Times are ISO 8601, in UTC."""

    id: str
    name: str
    hash: str
    """SHA-256 of the whole key, in hex."""
    created: str
    roles: tuple[str, ...] = ()
    """What it is bound to; none means that it may do everything."""
    expires: str | None = None
    revoked: str | None = None

    def state(self, now: datetime) -> str:
        """`revoked`, `expired` or `active`."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and datetime.fromisoformat(self.expires) <= now else "active"


class KeyFile:
    """The keys of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir / "keys.json"
        self._used = settings.data_dir / "keys.used"

    def read(self) -> tuple[Key, ...]:
        """Every key that was ever made, in order.

        Raises:
            FileRefused: the file is damaged, cannot be read, or may be written by others.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o022:
                    cure = f'Look whose keys are in it, then make it yours: chmod 600 "{self.path}"'
                    raise FileRefused(self.path, "may be written by others, so none of its keys counts", cure)
                kept = json.load(file)
            return tuple(Key(**{**key, "roles": tuple(key["roles"])}) for key in kept["keys"])
        except FileNotFoundError:
            return ()
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            raise FileRefused(self.path, why, "Check its permissions.") from error
        except (KeyError, TypeError, ValueError) as error:
            cure = f'Set it aside, and make new keys: mv "{self.path}" "{self.path}.damaged"'
            raise FileRefused(self.path, "is damaged, so none of its keys counts", cure) from error

    def add(self, name: str, roles: Iterable[str] = (), lifetime: timedelta | None = None) -> tuple[Key, str]:
        """Make a key; what is given besides is the key itself, which is kept nowhere.

        Raises:
            InvalidArgument: the name cannot be one, or an active key has it.
            FileRefused: see `read`.
        """
        if not _NAME.fullmatch(name):
            cure = "Use letters, digits, . _ and -, such as: laptop"
            raise InvalidArgument("NAME", f'"{name}" cannot be a key\'s name', cure)
        whole, now = PREFIX + secrets.token_urlsafe(32), datetime.now(UTC)
        key = Key(
            id=secrets.token_hex(4),
            name=name,
            hash=_hash(whole),
            created=now.isoformat(timespec="seconds"),
            roles=tuple(dict.fromkeys(roles)),
            expires=(now + lifetime).isoformat(timespec="seconds") if lifetime else None,
        )

        def with_it(keys: tuple[Key, ...]) -> tuple[Key, ...]:
            _refuse_taken(name, keys)
            return (*keys, key)

        self._change(with_it)
        return key, whole

    def revoke(self, name: str) -> Key:
        """Take a key's access, by its name or id. Its record stays, and `restore` gives it back.

        Raises:
            UnknownName: no active key has that name or id.
            FileRefused: see `read`.
        """
        now = datetime.now(UTC)
        return self._replace(
            "active key", name, lambda key: not key.revoked, revoked=now.isoformat(timespec="seconds")
        )

    def restore(self, name: str) -> Key:
        """Give a revoked key its access back: of several of that name, the one that was revoked last.

        Raises:
            UnknownName: no revoked key has that name or id.
            InvalidArgument: another key has the name now.
            FileRefused: see `read`.
        """
        return self._replace("revoked key", name, lambda key: bool(key.revoked), revoked=None)

    def last_used(self, key: Key) -> datetime | None:
        """When it was last used, to the minute."""
        try:
            return datetime.fromtimestamp((self._used / key.id).stat().st_mtime, UTC)
        except OSError:
            return None

    def note_use(self, key: Key) -> None:
        """Keep that it was used now. It is a nicety: where it cannot be kept, it is not."""
        try:
            self._used.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._used / key.id).touch(mode=0o600)
        except OSError as error:
            log.debug("When keys were used cannot be kept: %s", error)

    def stamp(self) -> tuple[int, int, int, int] | None:
        """What is cheap to look at and differs after every change; None where there is no file."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode

    def _replace(self, kind: str, name: str, fits: Callable[[Key], bool], *, revoked: str | None) -> Key:
        changed: list[Key] = []

        def with_it(keys: tuple[Key, ...]) -> tuple[Key, ...]:
            among = [key for key in keys if fits(key)]
            found = [key for key in among if key.id == name] or [key for key in among if key.name == name]
            if not found:
                names = {key.name for key in among}
                raise UnknownName(kind, name, names, "See them: pygent keys list --all")
            old = max(found, key=lambda key: key.revoked or "")
            if revoked is None:
                _refuse_taken(old.name, keys)
            changed.append(replace(old, revoked=revoked))
            return tuple(changed[0] if key is old else key for key in keys)

        self._change(with_it)
        return changed[0]

    def _change(self, by: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
        """Replace the file as a whole, while no other process does."""
        try:
            with locked(self.path.with_name("keys.lock")):
                self._write(by(self.read()))
        except OSError as error:
            why = f"cannot be written: {error.strerror or error}"
            cure = "Choose another folder: export PYGENT_DATA_DIR=~/pygent-data"
            raise FileRefused(self.path, why, cure) from error

    def _write(self, keys: Iterable[Key]) -> None:
        draft = self.path.with_name(f".keys-{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"version": VERSION, "keys": [asdict(key) for key in keys]}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)


class ApiKeys:
    """Tells callers by their keys, as the file is now: it is looked at once a second, if anybody calls."""

    def __init__(self, settings: Settings) -> None:
        self._file = KeyFile(settings)
        self._keys: Mapping[str, tuple[Key, Principal]] = {}
        self._stamp: object = ()
        self._looked = float("-inf")
        self._noted: dict[str, float] = {}

    async def authenticate(self, token: str) -> Principal | Refusal | None:
        """See `Authenticator`."""
        if not token.startswith(PREFIX):
            return None
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._look(now)
        # By its hash, so that the time this takes tells nothing of any key.
        found = self._keys.get(_hash(token))
        if found is None:
            return None
        key, principal = found
        if key.revoked or key.expires:
            state = key.state(datetime.now(UTC))
            if state != "active":
                how = "was revoked" if state == "revoked" else f"expired on {key.expires}"
                why = f'The key "{key.name}" {how}. Ask for another: pygent keys add NAME'
                return Refusal(status=401, sentence=why, error="invalid_token")
        if now - self._noted.get(key.id, float("-inf")) >= USED_SECONDS:
            self._noted[key.id] = now
            self._file.note_use(key)
        return principal

    def _look(self, now: float) -> None:
        self._looked = now
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = {key.hash: (key, _principal(key)) for key in self._file.read()}
        except FileRefused as error:
            self._keys = {}
            log.error("%s", error)


def exposed(settings: Settings) -> str:
    """What is wrong with who may read or write the file of keys, in a clause; "" where nothing is."""
    path = KeyFile(settings).path
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""
    if os.name != "posix" or not mode & 0o077:
        return ""
    return f"{path} may be {'written' if mode & 0o022 else 'read'} by others (mode {mode:04o})"


def today(principal: Principal, settings: Settings) -> Principal:
    """A principal that was let in some time ago, as it stands now: who came with a key that is no longer
    active may do nothing. What others may do is as it was then.
    """
    if principal.kind != "key":
        return principal
    try:
        keys = KeyFile(settings).read()
    except FileRefused as error:
        log.warning("No key counts: %s", error)
        keys = ()
    for key in keys:
        if key.id == principal.credential and key.state(datetime.now(UTC)) == "active":
            return _principal(key)
    return replace(principal, roles=(), limited=True)


def _principal(key: Key) -> Principal:
    return Principal(
        name=f"key:{key.name}", kind="key", credential=key.id, roles=key.roles, limited=bool(key.roles)
    )


def _refuse_taken(name: str, keys: Iterable[Key]) -> None:
    if any(key.name == name and not key.revoked for key in keys):
        cure = f"Choose another name, or revoke that one first: pygent keys revoke {name}"
        raise InvalidArgument("NAME", f'a key called "{name}" exists already', cure)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("latin-1")).hexdigest()
