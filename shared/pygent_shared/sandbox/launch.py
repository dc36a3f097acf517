"""Run a program in a sandbox of sandlock's: `launch.py POLICY PROGRAM ARGUMENT…`, in a process of its own.

The one rule: when it ends, or the process that started it, nothing of the program is left running. It is the
one to whom all that came of the program falls, and it has no rights of root's to pass on.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
NO_ROOT_LOCKED = 0b11
CAPABILITY_VERSION_3 = 0x20080522
LOOK_S = 0.2
ROUNDS = 200


def main() -> None:
    """Become the sandbox, run the program to its end, and end as it did."""
    policy, argv = json.loads(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    without_rights(libc)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()

    from sandlock import Sandbox, SandlockError

    code = 1
    try:
        code = Sandbox(
            **{name: value for name, value in policy.items() if value is not None}
        ).run_interactive(argv)
    except (SandlockError, OSError, RuntimeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        end_all()
    os._exit(code & 0xFF)


def without_rights(libc: ctypes.CDLL) -> None:
    """Give up all capabilities, for whatever is started from here too."""
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_SECUREBITS, NO_ROOT_LOCKED, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        sys.exit(f"capabilities cannot be given up: {os.strerror(ctypes.get_errno())}")


def end_with(parent: int) -> None:
    """End when the process does that started this one."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    end_all()
    os._exit(1)


def end_all() -> None:
    """End all that came of this process."""
    for _ in range(ROUNDS):
        below = list(children(os.getpid()))
        if not below:
            return
        for process in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def children(process: int) -> list[int]:
    """All that came of a process and runs."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, task.read_text().split()):
                found += [child, *children(child)]
    return found


if __name__ == "__main__":
    main()
