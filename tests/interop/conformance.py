"""The official MCP conformance suite, run against one server over HTTP.

    python tests/interop/conformance.py --install
    python tests/interop/conformance.py --url http://localhost:3901/mcp --requirements 2025-11-25
    python tests/interop/conformance.py --url http://localhost:3901/mcp --scenario caching --scenario ping

The suite is an npm package that wants node 22. Both live in a cache folder of ours: CONFORMANCE_DIR,
else ~/.cache/pygent/conformance. The rule of this file: only `install` reaches the network, and only the
command line calls it; a test asks `missing` first and skips with that sentence.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

REVISIONS = ("2025-11-25", "2026-07-28")
NODE_MAJOR = 22
VERSION = "0.2.0-alpha.12"
PACKAGE = "@modelcontextprotocol/conformance"

INSTALL_SECONDS = 600
SCENARIO_SECONDS = 30
RUN_SECONDS = 300
"""The bounds of one scenario and of one run of the suite, which takes about five seconds when all is well."""

Check = dict[str, Any]
"""One check as the suite writes it: `id`, `status`, `description`, and `errorMessage` where there is one."""


class SuiteUnusable(Exception):
    """The suite is not installed, or would not run."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one scenario found: how many checks it made, and the sentences of those that did not pass."""

    scenario: str
    scored: bool
    checks: int
    failures: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        note = "" if self.scored else ", not scored"
        lines = [f"{verdict} {self.scenario} ({self.checks} checks{note})", *self.failures]
        return "\n    ".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcomes of one run."""

    url: str
    requirements: str
    seconds: float
    outcomes: tuple[Outcome, ...]

    def missed(self, wanted: Iterable[str]) -> list[str]:
        """A paragraph on each wanted scenario that did not pass, or did not run."""
        found = {outcome.scenario: outcome for outcome in self.outcomes}
        return [
            str(found.get(name, f"FAILED {name}: it did not run"))
            for name in wanted
            if name not in found or not found[name].passed
        ]

    def __str__(self) -> str:
        scored = [outcome for outcome in self.outcomes if outcome.scored]
        passed = sum(outcome.passed for outcome in scored)
        verdict = f"{passed}/{len(scored)} scored scenarios of {self.requirements} passed"
        return "\n".join([f"{verdict} in {self.seconds:.1f} s at {self.url}", *map(str, self.outcomes)])


# The cache folder, and what is in it.


def cache() -> Path:
    """The folder the suite is installed in."""
    chosen = os.environ.get("CONFORMANCE_DIR")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pygent" / "conformance"


def package() -> Path:
    """The folder of the suite itself."""
    return cache() / "node_modules" / PACKAGE


def node() -> Path | None:
    """A node that is new enough: the one in the cache, else the machine's, else None."""
    candidates = [cache() / "node_modules" / "node" / "bin" / "node", Path(shutil.which("node") or "")]
    return next((path for path in candidates if path.is_file() and _major(path) >= NODE_MAJOR), None)


def _major(node: Path) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.match(r"v(\d+)", said.stdout)
    return int(found[1]) if found else 0


def missing() -> str:
    """Why the suite cannot run here and what to type; "" when it can."""
    cure = "Install it: python tests/interop/conformance.py --install"
    manifest = package() / "package.json"
    if not manifest.is_file():
        return f"The MCP conformance suite is not in {cache()}. {cure}"
    installed = json.loads(manifest.read_text())["version"]
    if installed != VERSION:
        return f"The MCP conformance suite in {cache()} is {installed}, these tests need {VERSION}. {cure}"
    if node() is None:
        return f"The MCP conformance suite needs node {NODE_MAJOR} or newer. {cure}"
    return ""


def install() -> None:
    """Install node and the suite into the cache folder.

    Raises:
        SuiteUnusable: see `npm_install`.
    """
    npm_install(cache(), [f"node@{NODE_MAJOR}", f"{PACKAGE}@{VERSION}"])
    if why := missing():
        raise SuiteUnusable(f"npm installed without an error, and still: {why}")


def npm_install(folder: Path, packages: Sequence[str]) -> None:
    """Install these packages, each with its exact version, into a folder with npm.

    Raises:
        SuiteUnusable: npm is not on this machine, or failed.
    """
    if shutil.which("npm") is None:
        raise SuiteUnusable(f"npm, which installs {', '.join(packages)}, is not on this machine.")
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--save-exact", "--no-audit", "--no-fund", "--prefix", str(folder)]
    try:
        done = subprocess.run(["npm", "install", *options, *packages], timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise SuiteUnusable(f"npm did not end within {INSTALL_SECONDS} s.") from error
    if done.returncode:
        raise SuiteUnusable(f"npm install ended with exit code {done.returncode}; its reason stands above.")


def suite() -> Path:
    """The folder of the installed suite; installed first where it is missing.

    Raises:
        SuiteUnusable: see `install`.
    """
    if missing():
        install()
    return package()


def scored(requirements: str) -> tuple[str, ...]:
    """The server scenarios that the revision requires, in the order of the suite's own list."""
    listing = (package() / "requirements" / f"{requirements}.yaml").read_text()
    section = re.search(r"^server:\n((?:[ \t].*\n|\n)+)", listing, re.MULTILINE)
    if section is None:
        raise SuiteUnusable(f"The suite's requirements of {requirements} have no section for servers.")
    return tuple(re.findall(r"^\s*- (\S+)$", section[1], re.MULTILINE))


# Running it.


def run(url: str, requirements: str, scenarios: Sequence[str] = ()) -> Report:
    """Run the named scenarios, or else all that the revision lists, against the server at `url`.

    Args:
        url: the MCP endpoint; its host must be localhost, or the suite's DNS rebinding scenario fails.
        requirements: the protocol revision, one of `REVISIONS`; it is also the one spoken on the wire.
        scenarios: names of scenarios; each costs a second, which all of them together hardly do.

    Raises:
        SuiteUnusable: the suite is not installed, or left no result at all.
    """
    if why := missing():
        raise SuiteUnusable(why)
    required = scored(requirements)
    runs = [["--scenario", name, "--spec-version", requirements, "--force"] for name in scenarios]
    started = time.monotonic()
    with TemporaryDirectory(prefix="conformance-") as folder:
        out = Path(folder)
        for arguments in runs or [["--requirements", requirements]]:
            _run(["--url", url, *arguments], out)
        found = results(out)
    names = dict.fromkeys([*(scenarios or required), *found])
    return Report(
        url=url,
        requirements=requirements,
        seconds=round(time.monotonic() - started, 1),
        outcomes=tuple(outcome(name, found.get(name), name in required) for name in names),
    )


def _run(arguments: Sequence[str], out: Path) -> None:
    """Run the suite once. Its exit code is no news: the files in `out` say what failed."""
    options = ["--timeout", str(SCENARIO_SECONDS * 1000), "--output-dir", str(out)]
    command = [str(node()), str(package() / "dist" / "index.js"), "server", *arguments, *options]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return  # What it left so far counts; a scenario without a result has failed.
    if not any(out.iterdir()):
        raise SuiteUnusable(f"The conformance suite left no result: {(said.stderr or said.stdout)[-2000:]}")


def results(out: Path) -> dict[str, list[Check]]:
    """The checks of each scenario, from the files OUT/server-SCENARIO-TIME/checks.json."""
    found = {}
    for path in sorted(out.glob("server-*/checks.json")):
        name = re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", path.parent.name.removeprefix("server-"))
        found[name] = json.loads(path.read_text())
    return found


def outcome(scenario: str, checks: Sequence[Check] | None, required: bool) -> Outcome:
    """The outcome of one scenario; `checks` is None when the suite left no result of it.

    Stricter than the suite, which lets a scenario pass when all of its own checks were skipped. (It adds one
    to each scenario that is not its own: that every message on the wire fitted the schema.)
    """
    own = {check["status"] for check in checks or () if check["id"] != "wire-schema-valid"}
    failures = sentences(checks or (), "FAILURE")
    if checks is None:
        failures = ["The suite left no result: it ended early, or has no such scenario."]
    elif not failures and own.isdisjoint({"SUCCESS", "WARNING"}):
        failures = ["Every check was skipped.", *sentences(checks, "SKIPPED")]
    return Outcome(
        scenario=scenario,
        scored=required,
        checks=len(checks or ()),
        failures=tuple(failures),
        warnings=tuple(sentences(checks or (), "WARNING")),
    )


def sentences(checks: Sequence[Check], status: str) -> list[str]:
    """What the checks of one status have to say."""
    return [
        f"{check['id']}: {check.get('errorMessage') or check['description']}"
        for check in checks
        if check["status"] == status
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every scored scenario (or every one named) passed, 1 when one did not, 2 when nothing ran."""
    parser = argparse.ArgumentParser(description="Run the MCP conformance suite against a server.")
    parser.add_argument("--install", action="store_true", help="install the suite where it is missing")
    parser.add_argument("--url", help="the server's MCP endpoint, such as http://localhost:3901/mcp")
    parser.add_argument("--requirements", choices=REVISIONS, default=REVISIONS[-1])
    parser.add_argument("--scenario", action="append", default=[], help="run only this one; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    chosen = parser.parse_args(argv)
    if not chosen.install and not chosen.url:
        parser.error("name a server with --url, or install the suite with --install")
    try:
        suite()
        if not chosen.url:
            return 0
        report = run(chosen.url, chosen.requirements, chosen.scenario)
    except SuiteUnusable as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(asdict(report), indent=2) if chosen.json else report)
    return 1 if report.missed(chosen.scenario or scored(chosen.requirements)) else 0


if __name__ == "__main__":
    sys.exit(main())
