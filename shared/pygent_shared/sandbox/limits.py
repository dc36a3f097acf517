"""Run a program under limits that it cannot raise: `limits.py RLIMIT_CPU=600 … -- PROGRAM ARGUMENT…`; after
`user=65534 cwd=/there`, as that user, there.

Started with no site-packages, and replaced by the program: between a fork and an exec in the parent nothing
of Python's may safely run.
"""

import os
import resource
import sys


def main() -> None:
    """Set the limits of this process, which the program inherits, and become the program."""
    end = sys.argv.index("--")
    for limit in sys.argv[1:end]:
        name, _, most = limit.partition("=")
        if name == "user":
            become(int(most))
            continue
        if name == "cwd":
            os.chdir(most)
            continue
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        whole = int(most) if hard == resource.RLIM_INFINITY else min(int(most), hard)
        resource.setrlimit(number, (whole, whole))
    program = sys.argv[end + 1 :]
    try:
        os.execv(program[0], program)
    except OSError as error:
        sys.exit(f'"{program[0]}" cannot be started: {error.strerror}')


def become(user: int) -> None:
    """Leave root's rights for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


if __name__ == "__main__":
    main()
