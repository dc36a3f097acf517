from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")

HEAPS = """
import ctypes, sys, tempfile, threading
from pygent_shared.arenas import share_arenas
if sys.argv[1] == "shared":
    share_arenas()
libc = ctypes.CDLL(None)
together = threading.Barrier(12)
def work():
    together.wait()
    for _ in range(200):
        bytearray(5000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    out = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, out)
    libc.fclose(out)
    print(open(file.name).read().count("<heap "))
"""


@glibc
def test_threads_share_two_arenas(script: Callable[..., Any]) -> None:
    assert int(script(HEAPS, "shared").stdout) <= 2 < int(script(HEAPS, "own").stdout)


FREED = """
import re
from pathlib import Path
from pygent_shared.arenas import give_back
def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
blocks = [b"x" * (3000 + number % 2) for number in range(20_000)]
kept = blocks[::50]
del blocks
before = resident()
give_back()
print(before - resident())
"""


@glibc
def test_what_is_free_between_what_stays_is_given_back(script: Callable[..., Any]) -> None:
    assert int(script(FREED).stdout) > 30_000  # kilobytes, of 60,000
