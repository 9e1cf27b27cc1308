"""scripts/bench dispatcher: what one replica carries, how fast, and what its registry costs."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc
import msgspec
from rich.console import Console
from rich.table import Table

from history.ids import IdSource
from proto.comment_pb2 import Author, Comment
from proto.dispatch_pb2 import PublishRequest, TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches import procfs
from scripts.benches.config import CHILDREN, DISPATCHER
from scripts.benches.contender import pid_of
from scripts.benches.dispatcher_nodes import Taken
from scripts.benches.publishing import NODE
from scripts.benches.schedule import VIDEO
from scripts.benches.stopping import run_stoppable
from scripts.plan import free_ports, grpc_serving
from scripts.processes import ROOT, NotReady, Process

if TYPE_CHECKING:  # it is in the stubs only: at run time there is one class for both
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
TEXT = " what a goal" * 9  # with it a comment has 140 bytes


class Figure(msgspec.Struct, frozen=True):
    """One line of the table."""

    what: str
    measured: str
    reach: str
    values: list[float]  # of all runs; the median is what is measured


@dataclass(frozen=True, slots=True)
class Size:
    repeats: int
    seconds: float
    streams: int
    videos: int
    share: float  # of the simulated viewers


FULL = Size(repeats=3, seconds=5.0, streams=1300, videos=1_000_000, share=1.0)
QUICK = Size(repeats=1, seconds=0.5, streams=20, videos=10_000, share=0.01)


class Nodes:
    """A process with so many nodes at one replica"""

    def __init__(self, address: str, prefix: str, count: int) -> None:
        self._arguments = (address, prefix, str(count))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "scripts.benches.dispatcher_nodes", *self._arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 30,
            env=_ENVIRONMENT,
        )
        await self._line()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def report(self) -> list[Taken]:
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        return msgspec.json.decode(await self._line(), type=list[Taken])

    async def _line(self) -> bytes:
        assert self._process
        assert self._process.stdout
        async with asyncio.timeout(DISPATCHER.nodes_timeout_s):
            line = await self._process.stdout.readline()
        if not line:
            raise NotReady(f"the nodes {self._arguments[1]} have ended")
        return line


class Replica:
    """A dispatcher process on a free port"""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        command = [sys.executable, "-P", "-m", "dispatcher", "--listen", self.address, "--log-level", "warning"]
        patience_ms = str(DISPATCHER.patience_ms)
        command += ["--lease-ms", patience_ms, "--keepalive-timeout-ms", patience_ms, "--hello-ms", patience_ms]
        self.process = Process(
            "dispatcher", command, is_ready=lambda: grpc_serving(self.address), on_output=_ignore, settings=CHILDREN
        )

    async def __aenter__(self) -> Self:
        await self.process.start()
        await self.process.wait_ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.process.stop()


def _ignore(_name: str, _line: str) -> None:
    """What a replica says on the level `warning` is about its peers, which are ours."""


class Publisher:
    """One Publish stream. `as_fast_as_it_goes` and `steadily` return when all is acknowledged."""

    def __init__(self, stub: "DispatcherAsyncStub") -> None:
        self._call = stub.Publish()
        self._ids = IdSource(NODE)
        self._answered = 0
        self._wake = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def as_fast_as_it_goes(self, seconds: float) -> float:
        """Comments a second"""
        started, sent = time.monotonic(), 0
        while time.monotonic() - started < seconds:
            await self._send(sent, [time.monotonic_ns()] * DISPATCHER.batch_comments)
            sent += 1
            await self._until(sent - DISPATCHER.unanswered_batches)
        await self._until(sent)
        return sent * DISPATCHER.batch_comments / (time.monotonic() - started)

    async def steadily(self, rate: float, seconds: float) -> int:
        """What is due goes together, as comment_service does it. Returns the number of comments."""
        start_ns, due, batches, count = time.monotonic_ns(), 0, 0, int(rate * seconds)
        while due < count:
            first = due
            while due < count and start_ns + due / rate * 1e9 <= time.monotonic_ns():
                due += 1
            if due == first:
                await asyncio.sleep((start_ns + due / rate * 1e9 - time.monotonic_ns()) / 1e9)
                continue
            await self._send(batches, [int(start_ns + number / rate * 1e9) for number in range(first, due)])
            batches += 1
        await self._until(batches)
        return count

    async def close(self) -> None:
        self._call.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _send(self, seq: int, due_ns: Sequence[int]) -> None:
        now_ms = time.time_ns() // 1_000_000
        author = Author(id="u1", name="u1")
        comments = [
            Comment(id=self._ids.next(now_ms), video_id=VIDEO, author=author, message=TEXT, created_at_ms=each)
            for each in due_ns
        ]
        await self._call.write(PublishRequest(seq=seq, comments=comments))

    async def _read(self) -> None:
        async for answer in self._call:
            self._answered += 1 + len(answer.seqs)
            self._wake.set()

    async def _until(self, answered: int) -> None:
        while self._answered < answered:
            self._wake.clear()
            async with asyncio.timeout(DISPATCHER.nodes_timeout_s):
                await self._wake.wait()


async def throughput(size: Size) -> float:
    async with Replica() as replica, Nodes(replica.address, "a", 1) as one, Nodes(replica.address, "b", 1) as two:
        async with grpc.aio.insecure_channel(replica.address) as channel:
            publisher = Publisher(DispatcherStub(channel))
            rate = await publisher.as_fast_as_it_goes(size.seconds)
            await publisher.close()
        check([*await one.report(), *await two.report()])
    return rate


async def latency(size: Size, streams: int, rate: float) -> tuple[float, float, int]:
    """p50 and p99 from the due time to the node, in ms, and the replica's resident memory"""
    async with (
        Replica() as replica,
        Nodes(replica.address, "a", streams // 2) as one,
        Nodes(replica.address, "b", streams - streams // 2) as two,
    ):
        async with grpc.aio.insecure_channel(replica.address) as channel:
            publisher = Publisher(DispatcherStub(channel))
            count = await publisher.steadily(rate, size.seconds)
            await publisher.close()
        taken = [*await one.report(), *await two.report()]
        check(taken, count)
        memory = procfs.rss_bytes(pid_of(replica.process))
    latencies = sorted(ms for each in taken for ms in each.latencies_ms)
    return latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100], memory


async def restart(size: Size) -> float:
    """Seconds from kill -9 to a new process that knows all nodes again"""
    async with Replica() as replica, Nodes(replica.address, "a", size.streams):
        replica.process.signal(DISPATCHER.kill)
        await replica.process.wait()
        started = time.monotonic()
        await replica.process.start()
        await replica.process.wait_ready()
        async with grpc.aio.insecure_channel(replica.address) as channel, asyncio.timeout(DISPATCHER.nodes_timeout_s):
            stub = DispatcherStub(channel)
            # Another process has what we wait for.
            while len((await stub.Topology(TopologyRequest())).nodes) < size.streams:  # noqa: ASYNC110
                await asyncio.sleep(DISPATCHER.poll_s)
        return time.monotonic() - started


def check(taken: Sequence[Taken], count: int | None = None) -> None:
    """Raises Faulty if anything was pushed in vain, twice, or not at all."""
    useless, doubled = sum(each.useless for each in taken), sum(each.doubled for each in taken)
    lost = sum(count - each.comments for each in taken) if count is not None else 0
    if useless or doubled or lost:
        raise Faulty(f"useless pushes {useless}, doubled {doubled}, lost {lost}")


class Faulty(Exception):
    """The replica has broken a promise."""


async def measure(size: Size) -> list[Figure]:
    fast, steady, wide, whole = [], [], [], []
    for _ in range(size.repeats):
        fast.append(await throughput(size))
        steady.append(await latency(size, 2, 1000))
        wide.append(await latency(size, size.streams, 50))
        whole.append(await restart(size))
    middle = statistics.median
    return [
        Figure("comments/s through one replica to two nodes, acknowledged", f"{middle(fast):,.0f}", "100,000", fast),
        Figure(
            "publish to node, 1,000 comments/s: p50 / p99",
            f"{middle(p50 for p50, *_ in steady):.1f} / {middle(p99 for _, p99, _ in steady):.1f} ms",
            "3 / 10 ms",
            [p99 for _, p99, _ in steady],
        ),
        Figure("useless pushes, doubled, lost", "0", "0", []),
        Figure(
            f"{size.streams} nodes with one video, 50 comments/s: p99; replica's memory",
            f"{middle(p99 for _, p99, _ in wide):.0f} ms; {middle(rss for *_, rss in wide) / 2**20:.0f} MiB",
            "250 ms",
            [p99 for _, p99, _ in wide],
        ),
        Figure(f"kill -9 and start with {size.streams} nodes: whole again", f"{middle(whole):.1f} s", "5 s", whole),
    ]


async def simulate(size: Size) -> str:
    """What `python -m dispatcher.simulation` prints: the registry's costs, and the placement of three workloads"""
    simulation = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "dispatcher.simulation"),
        *("--videos", str(size.videos), "--share", str(size.share)),
        stdout=asyncio.subprocess.PIPE,
        env=_ENVIRONMENT,
    )
    out, _ = await simulation.communicate()
    if simulation.returncode:
        raise Faulty("the simulation has failed")
    return out.decode()


def dispatcher(quick: bool, json: Path | None) -> int:
    """Returns the exit code: 1 if a promise was broken or a process failed."""
    size = QUICK if quick else FULL
    console = Console()
    try:
        figures = run_stoppable(measure(size))
        simulated = run_stoppable(simulate(size))
    except (Faulty, NotReady, TimeoutError, grpc.aio.AioRpcError) as error:
        Console(stderr=True).print(f"[bold red]{error!r}")
        return 1
    table = Table("what", "measured", "reach", box=None, title=str(procfs.machine()), title_justify="left")
    for figure in figures:
        table.add_row(figure.what, figure.measured, figure.reach)
    console.print(table, "", simulated, sep="\n")
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    return 0
