"""A2A clients that nobody here wrote, against agents of ours: each finds an agent, sends, streams, cancels,
and answers a question.

    python tests/interop/a2a_clients.py --install js py03
    python tests/interop/a2a_clients.py --run js adk py13 py03 py02 --url http://127.0.0.1:8700 --token …

Each lives in a folder of its own below A2A_CLIENTS_DIR, else ~/.cache/pygent/a2a-clients, as the SDKs exclude
each other; what it does is a script of `a2a_client/`. The URL is that of an instance with the agents of
`a2a_instance.py`. The rule of this file is that of `conformance.py`: only the command line reaches the
network; a test asks `missing` first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__:
    from .conformance import INSTALL_SECONDS, SuiteUnusable, npm_install
else:
    from conformance import INSTALL_SECONDS, SuiteUnusable, npm_install

PYTHONS = {
    "py13": ("grpcio", "1.85.1", ("a2a-sdk==1.3.0", "grpcio==1.85.1")),
    "py03": ("a2a_sdk", "0.3.26", ("a2a-sdk[http-server]==0.3.26", "uvicorn")),
    "py02": ("a2a_sdk", "0.2.16", ("a2a-sdk==0.2.16", "uvicorn")),
    "adk": ("google_adk", "2.13.0", ("google-adk[a2a]==2.13.0",)),
}
"""Each in a virtual environment: the package whose version counts, that version, and what pip is told."""
NODE = ("@a2a-js/sdk", "1.3.0")
NAMES = ("js", *PYTHONS)
DEEDS = ("discover", "send", "stream", "cancel", "answer")
BINDINGS = {"js": 2, "py13": 2, "py03": 2, "py02": 1, "adk": 1}
"""How many ways each client speaks to the agents, one after the other."""
RUN_SECONDS = 120

Deed = dict[str, Any]


def cache() -> Path:
    """The folder the clients are installed in."""
    chosen = os.environ.get("A2A_CLIENTS_DIR")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pygent" / "a2a-clients"


def missing(name: str) -> str:
    """Why a client cannot run here and what to type; "" when it can."""
    wanted = NODE[1] if name == "js" else PYTHONS[name][1]
    if installed(name) == wanted and (name != "js" or shutil.which("node")):
        return ""
    how = f"python tests/interop/a2a_clients.py --install {name}"
    return f"the A2A client {name} {wanted} is not in {cache()}. Install it: {how}"


def installed(name: str) -> str:
    """The version of a client in the cache; "" where it is not there."""
    if name == "js":
        manifest = cache() / "js" / "node_modules" / NODE[0] / "package.json"
        return str(json.loads(manifest.read_text())["version"]) if manifest.is_file() else ""
    found = (cache() / name).glob(f"lib/python*/site-packages/{PYTHONS[name][0]}-*.dist-info")
    return next((path.name.removesuffix(".dist-info").rpartition("-")[2] for path in found), "")


def install(name: str) -> None:
    """Install a client into the cache folder.

    Raises:
        SuiteUnusable: npm is not on this machine, or an installer failed.
    """
    if name == "js":
        npm_install(cache() / "js", ["@".join(NODE)])
    else:
        venv.create(cache() / name, with_pip=True, clear=True)
        pip = [str(python(name)), "-m", "pip", "install", "--quiet", *PYTHONS[name][2]]
        done = subprocess.run(pip, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            raise SuiteUnusable(f"pip install ended with exit code {done.returncode}; its reason is above.")
    if why := missing(name):
        raise SuiteUnusable(f"The installer ended without an error, and still: {why}")


def run(name: str, url: str, token: str, *bindings: str) -> list[Deed]:
    """What a client did, in order; `bindings` are others than it speaks by itself.

    Raises:
        SuiteUnusable: something went wrong; what the client said of it.
    """
    scripts = Path(__file__).parent / "a2a_client"
    if name == "js":
        modules = str(cache() / "js" / "node_modules")
        command = ["node", str(scripts / "js.mjs"), url, token, modules]
    else:
        command = [str(python(name)), str(scripts / f"{name}.py"), url, token, *bindings]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_SECONDS, env=environment, check=False
    )
    deeds = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"deed"')]
    if ended.returncode:
        after = deeds[-1]["deed"] if deeds else "its start"
        raise SuiteUnusable(f"{name} stopped after {after}:\n{ended.stdout[-1000:]}{ended.stderr[-3000:]}")
    return deeds


def python(name: str) -> Path:
    """The interpreter of a client in Python."""
    return cache() / name / "bin" / "python"


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all is well, 1 when a client could not do something, 2 when one is not there."""
    parser = argparse.ArgumentParser(description="A2A clients that nobody here wrote.")
    parser.add_argument("--install", nargs="*", choices=NAMES, help="Install these, or all.")
    parser.add_argument("--run", nargs="+", choices=NAMES, default=(), help="Run these.")
    parser.add_argument("--url", help="Of the instance.")
    parser.add_argument("--token", default="", help="That lets them in.")
    chosen = parser.parse_args(argv)
    if chosen.run and not chosen.url:
        parser.error("--run needs --url")
    failed = 0
    for name in chosen.install or (() if chosen.install is None else NAMES):
        try:
            if missing(name):
                install(name)
        except (SuiteUnusable, subprocess.TimeoutExpired) as error:
            print(error, file=sys.stderr)
            return 2
    for name in chosen.run:
        if why := missing(name):
            print(why, file=sys.stderr)
            return 2
        try:
            for deed in run(name, chosen.url, chosen.token):
                print(f"{name}: {deed['deed']}: {deed['seen']}")
        except (SuiteUnusable, subprocess.TimeoutExpired) as error:
            print(error, file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
