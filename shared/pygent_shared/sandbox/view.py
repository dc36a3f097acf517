"""What a program sees that nobody trusts: the system's programs, what it is shown, and a /tmp of its own. All
else is not there. The words are bubblewrap's (bwrap(1)); a later mount lies over an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

NOBODY = 65534
"""The user, and group, that a program of root's is run as."""
TEMPORARY = 256 << 20
"""Bytes of memory that the files in /tmp, and those in /dev/shm, may take."""

SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")))
ETC = tuple(
    Path("/etc", name)
    for name in (
        "passwd group hosts nsswitch.conf localtime alternatives ld.so.cache ld.so.conf ld.so.conf.d "
        "ssl/certs ssl/openssl.cnf ca-certificates mime.types"
    ).split()
)


def strict(programs: Iterable[Path], read: Iterable[Path], write: Iterable[Path]) -> Iterator[str]:
    """The mounts.

    Args:
        programs: seen beside the system's.
        read: seen; read-only even in a folder of `write`.
        write: folders that may be written to.
    """
    yield from ("--unshare-uts", "--unshare-cgroup-try")
    for place in SYSTEM:
        if place.is_symlink():
            yield from ("--symlink", str(place.readlink()), str(place))
        else:
            yield from ("--ro-bind-try", str(place), str(place))
    yield from ("--proc", "/proc", "--dev", "/dev")
    for place in (Path("/tmp"), Path("/dev/shm")):
        yield from ("--perms", "1777", "--size", str(TEMPORARY), "--tmpfs", str(place))
    shown = dict.fromkeys(ETC, "--ro-bind-try")
    shown |= {place: "--ro-bind" for place in programs if not _is_system(place)}
    shown |= dict.fromkeys(write, "--bind") | dict.fromkeys(read, "--ro-bind")
    places = sorted(shown, key=lambda place: len(place.parts))
    tops = [place for place in places if shown.keys().isdisjoint(place.parents)]
    for parent in sorted({parent for place in tops for parent in list(place.parents)[:-1]}):
        yield from ("--perms", "0755", "--dir", str(parent))  # or it makes them for root alone
    for place in places:
        yield from (shown[place], str(place), str(place))
    yield from ("--remount-ro", "/dev", "--remount-ro", "/")


def _is_system(place: Path) -> bool:
    return any(place == system or system in place.parents for system in SYSTEM)
