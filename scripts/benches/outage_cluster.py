"""A real Cassandra for a bench, of one node or three, with a folder and ports of its own; killed and forgotten at the
end."""

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile, Session
from cassandra.cluster import Cluster as Driver

from scripts.cassandra import JARS, NODES, START_S_MAX, fetch_jars, one_at_a_time
from scripts.cassandra_node import Node, Ports, heap_mb, wait_until
from scripts.plan import free_ports

KEYSPACE = "bench"
PAGE_ROWS = 5_000
READ_S_MAX = 60.0


class NodeNotUp(Exception):
    """A Cassandra node did not answer in time; the message has the ends of its logs."""


class Stored(NamedTuple):
    video_id: str
    message: str


class BenchCluster:
    """`async with BenchCluster(1) as cluster`: every node answers."""

    def __init__(self, nodes: int) -> None:
        native, storage = free_ports(2)
        self._folder = Path(tempfile.mkdtemp(prefix="bench-cassandra-"))
        self._nodes = [Node(number, self._folder, Ports(native, storage, _jmx_port())) for number in _numbers(nodes)]
        self._native = native

    @property
    def url(self) -> str:
        """Of the store"""
        return f"cassandra://{','.join(node.address for node in self._nodes)}:{self._native}/{KEYSPACE}"

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
        """To one node, counted from 1. Returns when a killed one is gone."""
        node = self._nodes[number - 1]
        if (pid := node.pid()) is None:
            raise NodeNotUp(f"node {number} isn't running")
        os.kill(pid, how)
        if how is signal.SIGKILL:
            await asyncio.to_thread(wait_until, lambda: node.pid() is None, START_S_MAX)

    async def start_again(self, number: int) -> None:
        """Returns when it answers. Raises NodeNotUp."""
        await asyncio.to_thread(self._start_node, self._nodes[number - 1])

    async def nodetool(self, *words: str) -> None:
        """Tells every node; returns when it is done. Raises NodeNotUp."""
        for node in self._nodes:
            told = await asyncio.create_subprocess_exec(*node.nodetool(JARS, words), stdout=asyncio.subprocess.DEVNULL)
            if await told.wait():
                raise NodeNotUp(f"nodetool {' '.join(words)} failed on node {node.number}")

    def bytes_on_disk(self, keyspace: str) -> int:
        """Of all tables of the keyspace, on all nodes; what isn't flushed isn't counted"""
        files = [path for node in self._nodes for path in (node.folder / "data/sstables" / keyspace).rglob("*")]
        return sum(path.stat().st_size for path in files if path.is_file())

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
            raise NodeNotUp(f"Cassandra's node {node.number} did not come up\n{node.log_tail(25)}")

    def _read_all(self) -> dict[int, Stored]:
        profile = ExecutionProfile(consistency_level=ConsistencyLevel.QUORUM, request_timeout=READ_S_MAX)
        living = [node.address for node in self._nodes if node.pid() is not None]
        driver = Driver(living, port=self._native, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
        try:
            return self._read_with(driver.connect(KEYSPACE))
        finally:
            driver.shutdown()

    def _read_with(self, session: Session) -> dict[int, Stored]:
        session.default_fetch_size = PAGE_ROWS
        rows = session.execute("SELECT id, video_id, message FROM comments")
        return {row.id: Stored(row.video_id, row.message) for row in rows}

    def _end(self) -> None:
        for node in self._nodes:
            if (pid := node.pid()) is not None:
                os.kill(pid, signal.SIGKILL)  # nobody needs the data
        wait_until(lambda: all(node.pid() is None for node in self._nodes), START_S_MAX)
        shutil.rmtree(self._folder, ignore_errors=True)


def _numbers(nodes: int) -> range:
    if nodes not in NODES:
        raise ValueError(f"{nodes} nodes: known are {', '.join(map(str, NODES))}")
    return range(1, nodes + 1)


def _jmx_port() -> int:
    """Node.launch adds the node's number to it; a port of its own for each node is still free then, most likely."""
    return free_ports(1)[0]
