"""The tiny shell that kills what a registry leaves behind: it holds a pipe from this process, and when that
breaks, for whatever reason, kills each group that is left.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from contextlib import suppress

FAMILY = "PYGENT_FAMILY"
"""In every child's environment: a random word that names the registry process it belongs to."""

# Reads "+ GROUP" and "- GROUP"; at the end of input kills the groups that are left, then, where there is a
# /proc, every process that carries the family's word (one that left its group, or was being started).
_REAPER = r"""
trap '' INT TERM HUP
groups=' '
while read -r sign group; do
    case $sign in
        +) groups="$groups$group " ;;
        -) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
    esac
done
for group in $groups; do kill -9 -- "-$group" 2>/dev/null; done
for file in $(grep -lsF "$1" /proc/[0-9]*/environ 2>/dev/null); do
    pid=${file#/proc/}
    kill -9 "${pid%/environ}" 2>/dev/null
done
exit 0
"""


class Reaper:
    """The shell that kills what this process leaves behind. Started with the first child, a megabyte big."""

    def __init__(self) -> None:
        self.family = f"{FAMILY}={secrets.token_hex(16)}"
        self._shell: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the shell, unless it runs. Does nothing where there is no POSIX shell."""
        if self._shell is None and os.name == "posix":
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _REAPER, "pygent-reaper", self.family],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def watch(self, group: int) -> None:
        """Kill this process group when this process ends."""
        self._tell("+", group)

    def forget(self, group: int) -> None:
        """This process group is gone."""
        self._tell("-", group)

    def close(self) -> None:
        """Kill what is left now, and end the shell."""
        if self._shell is not None and self._shell.stdin is not None:
            with suppress(BrokenPipeError):
                self._shell.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._shell.wait(timeout=5)
            self._shell = None

    def _tell(self, sign: str, group: int) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with suppress(BrokenPipeError):
                self._shell.stdin.write(f"{sign} {group}\n".encode())
                self._shell.stdin.flush()
