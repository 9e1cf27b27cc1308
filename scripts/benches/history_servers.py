"""The history bench's servers: one Cassandra node, comment_service with a dispatcher, and the least that answers."""

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benches.config import CHILDREN
from scripts.benches.contender import listens, pid_of
from scripts.benches.outage_cluster import BenchCluster
from scripts.plan import free_ports, make_plan
from scripts.processes import Process


class OneCassandra(BenchCluster):
    """One node"""

    def __init__(self) -> None:
        super().__init__(1)

    @property
    def pid(self) -> int:
        pid = self._nodes[0].pid()
        assert pid is not None, "Cassandra has ended"
        return pid

    def restart(self) -> None:
        """Blocks until it answers; all that it had in memory is on the disk, and its caches are empty."""
        self._nodes[0].stop()
        self._start_node(self._nodes[0])


@dataclass(frozen=True, slots=True)
class BenchStore:
    """A store that nobody has used, and its own processes by name"""

    kind: str
    url: str
    folder: Path
    pids: Mapping[str, int]
    restart: Callable[[], None]
    """Blocks until all is on the disk and the store's process, if it has one, began anew"""
    chill: Callable[[], None]
    """Drops what the kernel has of its files, as far as that can be done"""


@asynccontextmanager
async def a_store(kind: str) -> AsyncIterator[BenchStore]:
    """sqlite or cassandra; gone at the end. Raises NodeNotUp."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as name:
        folder = Path(name)
        if kind == "sqlite":
            file = folder / "comments.db"
            yield BenchStore(kind, f"sqlite:{file}", folder, {}, nothing, partial(drop_file, file))
            return
        async with OneCassandra() as cassandra:
            pids = {"cassandra": cassandra.pid}
            yield BenchStore(kind, cassandra.url, folder, pids, cassandra.restart, nothing)


def drop_file(path: Path) -> None:
    """From the kernel's page cache"""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def nothing() -> None:
    """SQLite has no process; Cassandra's files are mapped into it, and can't be dropped from outside."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where an HTTP server listens on 127.0.0.1, and its processes by name. The first is the server itself."""

    port: int
    pids: Mapping[str, int]


@asynccontextmanager
async def comment_service(store: BenchStore) -> AsyncIterator[Served]:
    """As scripts/run starts it, with one dispatcher to publish to and no viewers. Raises NotReady."""
    plan = make_plan(
        dispatchers=1,
        rms=0,
        store=store.url,
        data=store.folder,
        ports=free_ports(2),
        log_format="json",
        more_flags=lambda role: ("--log-level", "error"),
    )
    parts = (*plan["dispatcher"], *plan["comment-service"])
    processes = [
        Process(each.name, each.command, is_ready=each.is_ready, on_output=_ignore, settings=CHILDREN) for each in parts
    ]
    async with _running(processes) as (dispatcher, service):
        port = int(parts[-1].address.rpartition(":")[2])
        pids = {"service": pid_of(service), "dispatcher": pid_of(dispatcher), **store.pids}
        yield Served(port, pids)


@asynccontextmanager
async def parse_only() -> AsyncIterator[Served]:
    """A Starlette app that parses, and answers a constant. Raises NotReady."""
    (port,) = free_ports(1)
    command = (sys.executable, "-P", "-m", "scripts.benches.parse_only_app", str(port))
    process = Process("parse-only", command, is_ready=lambda: listens(port), on_output=_ignore, settings=CHILDREN)
    async with _running([process]) as (server,):
        yield Served(port, {"service": pid_of(server)})


@asynccontextmanager
async def _running(processes: list[Process]) -> AsyncIterator[list[Process]]:
    try:
        for process in processes:
            await process.start()
            await process.wait_ready()
        yield processes
    finally:
        for process in reversed(processes):
            await process.stop()


def _ignore(_name: str, _line: str) -> None:
    """On the level `error` nothing is said while all goes well."""
