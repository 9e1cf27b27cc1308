"""Starts a real Cassandra for a bench, of one node or three, with its own folder and ports; deletes it at the end."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cassandra import ConsistencyLevel, ReadTimeout
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile

from scripts.benches.running import BenchFailed
from scripts.cassandra import JARS, NODES, START_S_MAX, fetch_jars, one_at_a_time
from scripts.cassandra_node import Node, Ports, heap_mb, wait_until
from scripts.plan import free_ports

KEYSPACE = "bench"
LOG_LINES = 25  # shown when a node doesn't come up
PAGE_ROWS = 5_000
READ_S_MAX = 60.0
READ_TRIES = 5


class Stored(NamedTuple):
    video_id: str
    message: str


class BenchCassandra:
    """`async with BenchCassandra(1) as cassandra`: every node answers. Raises BenchFailed."""

    def __init__(self, nodes: int, *, alone_at: str = "", within: Sequence[str] = ()) -> None:
        """alone_at: another address for the only node. within: a command that runs another one as the same process."""
        if nodes not in NODES:
            raise ValueError(f"{nodes} nodes: known are {', '.join(map(str, NODES))}")
        # Node adds its number to the JMX port; a port of its own for each node is still free then, most likely.
        self.native, storage, jmx = free_ports(3)
        self._folder = Path(tempfile.mkdtemp(prefix="bench-cassandra-"))
        ports = Ports(self.native, storage, jmx)
        numbers = range(1, nodes + 1)
        self._nodes = [Node(n, self._folder, ports, alone_at=alone_at, within=within) for n in numbers]

    @property
    def url(self) -> str:
        """Of the store"""
        return f"cassandra://{','.join(node.address for node in self._nodes)}:{self.native}/{KEYSPACE}"

    @property
    def pid(self) -> int:
        """Of the first node. Raises BenchFailed if it has ended."""
        if (pid := self._nodes[0].pid()) is None:
            raise BenchFailed("Cassandra has ended")
        return pid

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._start)
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def signal(self, number: int, how: signal.Signals) -> None:
        """Sends it to one node, counted from 1. Returns when a killed one is gone."""
        node = self._nodes[number - 1]
        if (pid := node.pid()) is None:
            raise BenchFailed(f"Cassandra's node {number} isn't running")
        os.kill(pid, how)
        if how is signal.SIGKILL:
            await asyncio.to_thread(wait_until, lambda: node.pid() is None, START_S_MAX)

    async def start_again(self, number: int) -> None:
        """Returns when the node, counted from 1, answers."""
        await asyncio.to_thread(self._start_node, self._nodes[number - 1])

    async def restart(self) -> None:
        """Returns when the first node answers again; all that it had in memory is on the disk, its caches are empty."""
        await asyncio.to_thread(self._nodes[0].stop)
        await self.start_again(1)

    def warnings(self, word: str) -> int:
        """Lines of the first node's log with that word that are more than information"""
        log = self._folder / "node1" / "log" / "system.log"
        return sum(word in line and not line.startswith("INFO") for line in log.read_text().splitlines())

    async def stored(self) -> dict[int, Stored]:
        """Every comment that a quorum has, by id"""
        return await asyncio.to_thread(self._read_all)

    def _start(self) -> None:
        with one_at_a_time():
            fetch_jars()
        for node in self._nodes:  # one after another: a node that joins needs the ones before it to answer
            self._start_node(node)

    def _start_node(self, node: Node) -> None:
        node.launch(JARS, heap_mb(len(self._nodes)))
        wait_until(lambda: node.speaks_cql() or node.pid() is None, START_S_MAX)
        if not node.speaks_cql():
            raise BenchFailed(f"Cassandra's node {node.number} did not come up\n{node.log_tail(LOG_LINES)}")

    def _read_all(self) -> dict[int, Stored]:
        profile = ExecutionProfile(consistency_level=ConsistencyLevel.QUORUM, request_timeout=READ_S_MAX)
        living = [node.address for node in self._nodes if node.pid() is not None]
        driver = Cluster(living, port=self.native, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
        try:
            session = driver.connect(KEYSPACE)
            session.default_fetch_size = PAGE_ROWS
            for _ in range(READ_TRIES):
                with suppress(ReadTimeout):  # of nodes on a busy machine
                    rows = session.execute("SELECT id, video_id, message FROM comments")
                    return {row.id: Stored(row.video_id, row.message) for row in rows}
            raise BenchFailed("Cassandra could not be read: its nodes time out")
        finally:
            driver.shutdown()

    def _end(self) -> None:
        for node in self._nodes:
            if (pid := node.pid()) is not None:
                os.kill(pid, signal.SIGKILL)  # nobody needs the data
        for node in self._nodes:
            node.reap()
        shutil.rmtree(self._folder, ignore_errors=True)
