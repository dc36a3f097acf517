"""The commands of `pygent-memory`, which need no host: export, import, backup, restore, verify, status.

Exit codes: 0 it worked, 1 something is damaged or failed, 2 the caller can mend it; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pygent_memory.admin_answers import ExportAnswer, ImportAnswer, StatusAnswer
from pygent_memory.memories import open_memories
from pygent_memory.memory import space_name
from pygent_memory.schema import MIGRATIONS
from pygent_memory.status import status
from pygent_memory.transfer import exporting, importing
from pygent_memory.transfer.exporting import export_file
from pygent_memory.transfer.importing import import_file
from pygent_memory.verifying import repair, verify
from pygent_shared.backups import Backup, backups_of
from pygent_shared.database import Database, unusable
from pygent_shared.errors import DatabaseUnusable, FileRefused, PygentError, ours
from pygent_shared.restoring import restore
from pygent_shared.serve import settings_from
from pygent_shared.settings import Settings

Configure = Callable[[argparse.ArgumentParser], None]
Run = Callable[[argparse.Namespace, Settings], int]


def main(argv: Sequence[str]) -> int:
    """Run one command line and return the exit code."""
    chosen = _parser().parse_args(argv)
    code = 0
    try:
        code = chosen.run(chosen, settings_from(vars(chosen)))
    except* PygentError as errors:
        for error in ours(errors):
            print(error, file=sys.stderr)
            code = max(code, error.exit_code)
    except* KeyboardInterrupt:
        code = 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pygent-memory")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (line, configure, run, example) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=line,
            description=line,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        configure(command)
        command.add_argument("--data-dir", metavar="FOLDER", help="where the database is [the user's own]")
        command.add_argument("--config", metavar="FILE", help="config file to take the settings from")
        command.set_defaults(run=run)
    return parser


# ---- export and import


def _configure_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a new file, or a new folder for Markdown")
    formats = "; ".join(f"{name}: {what}" for name, what in exporting.FORMATS.items())
    parser.add_argument("--format", default="", help=f"{formats} [by the file's name]")
    parser.add_argument("--space", help="the space [default]")


def _export(chosen: argparse.Namespace, settings: Settings) -> int:
    with closing(_existing(settings)) as database:
        space = space_name(settings.space)
        print(ExportAnswer.of(space, export_file(database, space, chosen.file, chosen.format)).text())
    return 0


def _configure_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="a file, or a folder of basic-memory")
    known = ", ".join((importing.OWN, *importing.FORMATS))
    parser.add_argument("--format", default="", help=f"{known} [looks at the file]")
    parser.add_argument("--space", help="the space; made if it is missing [default]")
    parser.add_argument("--dry-run", action="store_true", help="only say what would happen")


def _import(chosen: argparse.Namespace, settings: Settings) -> int:
    space = space_name(settings.space)
    # The vectors are made by whatever serves the memories: no model is loaded for an import.
    with closing(open_memories(replace(settings, embedder="none"))) as memories:
        report = import_file(
            memories, space, chosen.path, chosen.format, dry_run=chosen.dry_run, watch=_show_progress
        )
    print(ImportAnswer.of(space, report).text())
    return 1 if report.problems else 0


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{100 * done // max(total, 1)} %", end="\n" if done >= total else "", file=sys.stderr)


# ---- backup and restore


def _configure_backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="only show the backups there are, newest first")


def _backup(chosen: argparse.Namespace, settings: Settings) -> int:
    if chosen.list:
        for backup in _backups(_path(settings)):
            print(_backup_line(backup))
        return 0
    with closing(_existing(settings)) as database:
        print(_backup_line(database.back_up()))
    return 0


def _configure_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", type=Path, nargs="?", help="the backup's file [the newest]")


def _restore(chosen: argparse.Namespace, settings: Settings) -> int:
    path = _path(settings)
    if (backup := chosen.backup) is None:
        made = _backups(path)
        if not made:
            raise FileRefused(path, "has no backup yet", "Make one: pygent-memory backup")
        backup = made[0].path
    aside = restore(path, backup, table="memory", known=len(MIGRATIONS))
    print(f"Restored {path} from {backup}.")
    if aside is not None:
        print(f"What was there is kept: {aside}")
    return 0


# ---- verify and status


def _configure_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repair",
        action="store_true",
        help="make what is derived anew where it is wrong: full text, passages, vectors; never the texts",
    )


def _verify(chosen: argparse.Namespace, settings: Settings) -> int:
    with closing(_existing(settings)) as database:
        found = verify(database)
        for finding in found:
            print(finding.sentence)
        if chosen.repair and found:
            found = repair(database, found)
            print("After the repair:" if found else "Repaired: nothing is wrong any more.")
            for finding in found:
                print(finding.sentence)
        elif not found:
            print(f"Nothing is wrong with {database.path}.")
    if found and not chosen.repair:
        print("Mend what is derived: pygent-memory verify --repair")
    elif found:
        print("The rest comes back from a backup: pygent-memory restore")
    return 1 if found else 0


def _configure_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _status(chosen: argparse.Namespace, settings: Settings) -> int:
    with closing(_existing(settings)) as database:
        data = StatusAnswer.of(status(database))
    print(data.model_dump_json(indent=2) if chosen.json else data.text())
    return 0


COMMANDS: dict[str, tuple[str, Configure, Run, str]] = {
    "export": (
        "Write all memories of a space to a file.",
        _configure_export,
        _export,
        "pygent-memory export notes.jsonl --space work",
    ),
    "import": (
        "Take over what is new in an export, the reference server's file, a dump of mem0 or a folder of "
        "basic-memory.",
        _configure_import,
        _import,
        "pygent-memory import mem0.json --dry-run",
    ),
    "backup": (
        "Copy the database into the folder backups beside it, while it is in use.",
        _configure_backup,
        _backup,
        "pygent-memory backup",
    ),
    "restore": (
        "Put a backup in the place of the database, and keep what was there.",
        _configure_restore,
        _restore,
        "pygent-memory restore",
    ),
    "verify": (
        "Say what is wrong with the database.",
        _configure_verify,
        _verify,
        "pygent-memory verify --repair",
    ),
    "status": (
        "Show how much there is, and when it was last backed up.",
        _configure_status,
        _status,
        "pygent-memory status --json",
    ),
}


def _path(settings: Settings) -> Path:
    return settings.data_dir / "memory.db"


def _existing(settings: Settings) -> Database:
    """The database, which none of these commands makes.

    Raises:
        DatabaseUnusable: there is none, or it cannot be opened.
    """
    if not (path := _path(settings)).exists():
        cure = "Name the folder it is in: --data-dir FOLDER"
        raise DatabaseUnusable(path, "does not exist yet", cure)
    return Database(path, MIGRATIONS, backup=True)


def _backups(path: Path) -> list[Backup]:
    try:
        return backups_of(path)
    except OSError as error:
        raise unusable(path, error) from error


def _backup_line(backup: Backup) -> str:
    return (
        f"{backup.path}  {backup.at:%Y-%m-%d %H:%M:%S} UTC  version {backup.version}  {backup.size:,} bytes"
    )
