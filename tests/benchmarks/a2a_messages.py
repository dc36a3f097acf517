"""What our handler and store cost a message over A2A, beside the bare SDK with the same executor, in one run.

    python tests/benchmarks/a2a_messages.py [--seconds N] [--rounds N]

For the stores in memory and in SQLite, with 1 and with 32 messages in flight: the p50 of `SendMessage`,
messages a second, and CPU milliseconds a message in the server. The bare SDK is its `DefaultRequestHandler`
with its `InMemoryTaskStore`, and with its `DatabaseTaskStore` on SQLite in write-ahead mode, not synced at
each change, as ours is (needs aiosqlite). Ours is `TaskHandler`, which checks bounds, extensions and repeats,
guards the executor and, in SQLite, keeps the log that streams and pushes come from. Both run without tracing.
The four take turns, round after round, because other work on the machine slows down whoever is at work; of
each the best round counts. The client is the standard library, in a process of its own.

The name is not `a2a.py`: beside the other scripts that would stand before the SDK.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import product
from multiprocessing.pool import Pool
from pathlib import Path

AT_MOST = 1.2
KINDS = ("sdk memory", "ours memory", "sdk sqlite", "ours sqlite")
Numbers = tuple[float, float, float]
"""Milliseconds at p50, messages a second, CPU milliseconds a message."""


def serve(kind: str, folder: Path, port: int) -> None:
    """Serve the trivial executor, in one of four ways, until killed."""
    os.environ["OTEL_INSTRUMENTATION_A2A_SDK_ENABLED"] = "false"
    import uvicorn
    from a2a.helpers import new_task_from_user_message
    from a2a.server.agent_execution import AgentExecutor, RequestContext
    from a2a.server.events import EventQueue
    from a2a.server.request_handlers import DefaultRequestHandler, RequestHandler
    from a2a.server.routes import create_jsonrpc_routes
    from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
    from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
    from starlette.applications import Starlette

    class Trivial(AgentExecutor):
        async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
            assert context.message is not None
            updater = TaskUpdater(event_queue, context.task_id or "", context.context_id or "")
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
            await updater.complete(updater.new_agent_message([Part(text="hello")]))

        async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
            raise NotImplementedError

    card = AgentCard(
        name="trivial",
        description="Says hello.",
        version="1",
        supported_interfaces=[
            AgentInterface(
                url=f"http://127.0.0.1:{port}/", protocol_binding="JSONRPC", protocol_version="1.0"
            )
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="hello", name="Hello", description="Says hello.", tags=["hello"])],
    )
    whose, _, store = kind.partition(" ")
    handler: RequestHandler
    if whose == "sdk":
        tasks = InMemoryTaskStore() if store == "memory" else _sdk_store(folder)
        handler = DefaultRequestHandler(Trivial(), tasks, card)
        app = Starlette(routes=create_jsonrpc_routes(handler, "/", enable_v0_3_compat=True))
    else:
        from pygent_a2a.handler import TaskHandler
        from pygent_a2a.leases import Leases
        from pygent_a2a.legacy import rpc_routes
        from pygent_a2a.limits import Body
        from pygent_a2a.store_sqlite import SqliteEngine
        from pygent_a2a.tasks import Keep, keep_of

        keep: Keep | None = None
        if store == "sqlite":
            leases = Leases(SqliteEngine(folder / "a2a.db"))
            leases.begin()
            keep = keep_of("trivial", leases)
        handler = TaskHandler("trivial", Trivial(), card, keep=keep, opens=False)
        app = Body(Starlette(routes=list(rpc_routes(handler, "/"))))  # type: ignore[assignment]
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


def _sdk_store(folder: Path):  # type: ignore[no-untyped-def]
    from a2a.server.tasks import DatabaseTaskStore
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'sdk.db'}")

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection, _):  # type: ignore[no-untyped-def]
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")

    return DatabaseTaskStore(engine)


def send(connection: socket.socket) -> None:
    """One message and its whole answer."""
    message = {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "parts": [{"text": "hello"}]}
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    ).encode()
    connection.sendall(
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nA2A-Version: 1.0\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    while len(rest) < length:
        rest += connection.recv(65_536)
    assert b"TASK_STATE_COMPLETED" in rest, rest


def measure(port: int, in_flight: int, seconds: float) -> tuple[float, float, int]:
    """Milliseconds at p50, messages a second, and messages."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while time.perf_counter() < until:
                began = time.perf_counter()
                send(connection)
                took.append(time.perf_counter() - began)

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.median(took) * 1000, len(took) / (time.perf_counter() - began), len(took)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(kind: str, folder: Path) -> Iterator[tuple[int, int]]:
    """The port and the process of a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--serve", kind, "--port", str(port), "--folder", str(folder)]
    with subprocess.Popen(command) as server:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", port)) as connection:
                        for _ in range(50):
                            send(connection)
                    break
                except ConnectionRefusedError:
                    assert server.poll() is None, f"{kind} did not start"
                    assert time.monotonic() < deadline, f"{kind} did not answer"
                    time.sleep(0.1)
            yield port, server.pid
        finally:
            server.terminate()
            server.wait(30)


def once(pool: Pool, server: tuple[int, int], in_flight: int, seconds: float) -> Numbers:
    """One round, with the client in a process of its own."""
    port, pid = server
    before = cpu_seconds(pid)
    p50, rate, count = pool.apply(measure, (port, in_flight, seconds))
    return p50, rate, (cpu_seconds(pid) - before) * 1000 / count


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve, chosen.folder, chosen.port)
        return 0
    kinds = [kind for kind in KINDS if kind != "sdk sqlite" or find_spec("aiosqlite")]
    best: dict[tuple[str, int], Numbers] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {}
        for kind in kinds:
            place = Path(folder) / kind.replace(" ", "-")
            place.mkdir()
            servers[kind] = stack.enter_context(served(kind, place))
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))
        for _, in_flight, kind in product(range(chosen.rounds), (1, 32), kinds):
            found = once(pool, servers[kind], in_flight, chosen.seconds)
            p50, rate, cpu = best.get((kind, in_flight), (float("inf"), 0.0, float("inf")))
            best[kind, in_flight] = (min(p50, found[0]), max(rate, found[1]), min(cpu, found[2]))
    print(f"{'':14}{'in flight':>10}{'p50 ms':>9}{'msg/s':>8}{'CPU ms':>8}   times the SDK's: p50, rate, CPU")
    worst = 0.0
    for (kind, in_flight), found in sorted(best.items(), key=lambda each: KINDS.index(each[0][0])):
        line = f"{kind:14}{in_flight:>10}{found[0]:>9.2f}{found[1]:>8.0f}{found[2]:>8.2f}"
        bare = best.get((kind.replace("ours", "sdk"), in_flight))
        if kind.startswith("ours") and bare:
            times = (found[0] / bare[0], bare[1] / found[1], found[2] / bare[2])
            worst = max(worst, *times[:2])
            line += "   " + ", ".join(f"{each:.2f}" for each in times)
        print(line)
    print(f"At worst {worst:.2f} times the bare SDK; {AT_MOST} are allowed.")
    return int(worst > AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
