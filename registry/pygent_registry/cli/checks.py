"""What `pygent doctor` looks at besides the servers (`trial.py`): each check says how it is, and what to type
where it is not well.

The one rule: looking changes nothing. No file is made, no model is loaded; what is started is ended.
"""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import anyio

from pygent_registry import exposure
from pygent_registry.cli.check import Check, fail, ok, warn
from pygent_registry.cli.terminal import counted
from pygent_registry.config import Config
from pygent_registry.entry import Entry
from pygent_registry.fronts import installed
from pygent_registry.reaper import FAMILY
from pygent_registry.trust.programs import unpinned
from pygent_shared.database import damage
from pygent_shared.embeddings import ENGINES, engine_for
from pygent_shared.embeddings.background import engines
from pygent_shared.embeddings.weights import BUILT_IN, weights_folder
from pygent_shared.errors import (
    FileRefused,
    HostError,
    InvalidArgument,
    MissingExtra,
    PortTaken,
    PygentError,
    did_you_mean,
)
from pygent_shared.http.keys import KeyFile, exposed
from pygent_shared.http.run import listen
from pygent_shared.http.token import token_file
from pygent_shared.settings import PREFIX, Settings, rows


def python() -> Check:
    """Which Python, on what."""
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return ok("Python", f"{here}, pygent-factory {version('pygent-factory')}")


def config(config: Config, *, own: bool) -> Iterator[Check]:
    """The config file in force, and each entry of it that cannot be used."""
    whose = "" if own else ", the shipped one: you have none of your own"
    off = f", {len(config.disabled)} disabled ({', '.join(config.disabled)})" if config.disabled else ""
    finding = f"{config.path}{whose}; {counted(len(config.entries), 'server')}{off}"
    yield ok("config", finding, {"path": str(config.path)})
    for bad in config.bad:
        yield fail(f"entry {bad.name}", bad.why, f"Mend it in {config.path}")
    names = [*(entry.name for entry in config.entries), *config.disabled]
    for role, server in ((role, grant[0]) for role, of in config.roles.items() for grant in of.grants):
        if not any(fnmatchcase(name, server) for name in names):
            finding = f'allows something of the server "{server}", which is not in the config'
            yield warn(f"role {role}", finding, did_you_mean(server, names).strip())
    for entry in config.entries:
        yield from _secrets(entry)
        if package := unpinned(entry):
            finding = f"starts whatever version of {package} is the newest by then"
            cure = "Name one in its args, such as name@1.2.3, name==1.2.3 or image:1.2.3."
            yield warn(f"version {entry.name}", finding, cure)


def _secrets(entry: Entry) -> Iterator[Check]:
    """What of an entry's secrets others can come to see."""
    subject = f"secrets {entry.name}"
    if places := list(exposure.in_the_file(entry)):
        finding = f"the config file itself holds what looks like one: {', '.join(places)}"
        yield warn(subject, finding, exposure.ELSEWHERE)
    for leak in exposure.in_arguments(entry):
        yield warn(subject, leak, exposure.IN_ENV)
    for reference in entry.references:
        if reference.source == "file" and os.name == "posix" and os.stat(reference.name).st_mode & 0o004:
            cure = f'Make it yours: chmod 600 "{reference.name}"'
            yield warn(subject, f"{reference.name} may be read by everyone", cure)


def variables(environ: Mapping[str, str]) -> Iterator[Check]:
    """Each variable that looks like a setting and is none."""
    known = [row.variable for row in rows()]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in (*known, FAMILY):
            cure = f"{did_you_mean(name, known).strip()} Or take it away: unset {name}"
            yield warn(f"variable {name}", "is no setting, and changes nothing", cure)


def data_folder(settings: Settings) -> Check:
    """Whether databases can be written."""
    folder, elsewhere = settings.data_dir, "Choose another folder: export PYGENT_DATA_DIR=~/pygent-data"
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.exists(parent))
    if not there.is_dir():
        return fail("data", f"{there} is no folder", elsewhere)
    if not os.access(there, os.W_OK | os.X_OK):
        return fail("data", f"{there} cannot be written", elsewhere)
    return ok("data", f"{folder}{'' if there == folder else ', made when needed'}")


def databases(settings: Settings) -> Iterator[Check]:
    """Each database in the data folder: whether it can be read, and is sound."""
    for path in sorted(settings.data_dir.glob("*.db")):
        yield _database(path)


def _database(path: Path) -> Check:
    if not os.access(path, os.R_OK):
        cure = f'Make it readable: chmod u+rw "{path}"'
        return fail(path.name, "cannot be read", cure)
    if found := damage(path):
        finding = f"is damaged: {found[0]}{f' and {len(found) - 1} more findings' if found[1:] else ''}"
        cure = f'Set it aside, and what it holds with it: mv "{path}" "{path}.damaged"'
        return fail(path.name, finding, cure)
    return ok(path.name, f"sound, {path.stat().st_size / 1e6:.1f} MB")


def embedder(settings: Settings) -> Check:
    """What search compares: meanings, or words alone. The model is looked for, not loaded."""
    engine = engine_for(settings)
    if engine is None:
        if settings.embedder == "none":
            return ok("embedder", "none, as set: search is lexical")
        missing = MissingExtra("Semantic search", "embeddings")
        return warn("embedder", "none: search is lexical", str(missing))
    try:
        if find_spec(ENGINES[engine][0]) is None:
            raise MissingExtra(f"The embedder {engine}", "embeddings")
        where = _model(settings.embedding_model)
    except HostError as error:
        finding = f"{engine}, without its model: search is lexical"
        return warn("embedder", finding, str(error))
    if where is None:
        finding = f"{engine} with {settings.embedding_model}, which is not on this machine"
        cure = "Its first use downloads it; offline, search stays lexical."
        return warn("embedder", finding, cure)
    _, bulk = engines(settings)
    finding = f"{engine} with {settings.embedding_model}, in {where}; many texts by {bulk}"
    return ok("embedder", finding)


def _model(model: str) -> Path | None:
    """Where the model lies: in its package, in the folder it names, or in the hub's cache."""
    if model == BUILT_IN:
        return weights_folder()
    if (folder := Path(model).expanduser()).is_dir():
        return folder
    from huggingface_hub import try_to_load_from_cache

    repository = model if "/" in model else f"sentence-transformers/{model}"
    try:
        found = try_to_load_from_cache(repository, "config.json")
    except ValueError:  # not even a name
        return None
    return Path(found).parent if isinstance(found, str) else None


def token(settings: Settings) -> Check:
    """Who can read the access token."""
    if settings.auth == "none":
        return ok("token", "none is asked for (auth is none)")
    if settings.token:
        return ok("token", "given by PYGENT_TOKEN or the config file")
    path = token_file(settings)
    if not path.exists():
        return ok("token", f"{path}, made by the first pygent up")
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        finding = f"{path} may be read by others (mode {mode:04o})"
        return fail("token", finding, f'Make it yours: chmod 600 "{path}"')
    return ok("token", f"{path}, readable by you alone")


def fronts(settings: Settings) -> Iterator[Check]:
    """What `pygent up` serves beside the MCP endpoints."""
    for name, point in installed().items():
        try:
            front = point.load()(settings, None)
        except PygentError as error:
            yield fail(f"front {name}", "cannot be served", str(error))
            continue
        where = f"served by pygent up at {', '.join(front.paths)}" if front else "switched off"
        yield ok(f"front {name}", where)


def keys(settings: Settings) -> Iterator[Check]:
    """Who can read the hashes of the API keys, and whether the keys count."""
    try:
        found = KeyFile(settings).read()
    except FileRefused as error:
        yield fail("keys", "none is accepted", str(error))
        return
    if not found:
        return
    active = counted(sum(key.state(datetime.now(UTC)) == "active" for key in found), "active key")
    if wrong := exposed(settings):
        yield warn("keys", f"{active}; {wrong}", f'Make it yours: chmod 600 "{KeyFile(settings).path}"')
    else:
        yield ok("keys", active)


def issuer(settings: Settings) -> Iterator[Check]:
    """Whether access tokens can be checked: the issuer is asked for its keys."""
    if not settings.oauth_issuer:
        return
    from pygent_shared.http.jwks import KeySet
    from pygent_shared.http.oauth import resource_url

    try:
        audience = settings.oauth_audience or resource_url(settings)
        anyio.run(KeySet(settings.oauth_issuer, settings.oauth_jwks).refresh)
    except PygentError as error:
        yield fail("issuer", "its access tokens cannot be accepted", str(error))
    else:
        yield ok("issuer", f"{settings.oauth_issuer}, whose keys are there; tokens must be for {audience}")


def port(settings: Settings) -> Check:
    """Whether `pygent up` could listen."""
    subject = f"port {settings.port}" if settings.port else "port"
    try:
        listen(settings).close()
    except PortTaken as error:
        return warn(subject, "is taken", str(error))
    except InvalidArgument as error:
        return fail(subject, "cannot be listened on", str(error))
    return ok(subject, f"free on {settings.host}")
