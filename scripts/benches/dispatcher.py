"""scripts/bench dispatcher: what one replica carries, how fast, and what its registry costs."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import msgspec
from rich.console import Console
from rich.table import Table

from proto.dispatch_pb2 import TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches import procfs
from scripts.benches.config import DISPATCHER
from scripts.benches.contender import pid_of
from scripts.benches.dispatcher_nodes import Taken
from scripts.benches.dispatcher_peers import ENVIRONMENT, Nodes, Publisher, Replica
from scripts.benches.stopping import run_stoppable
from scripts.processes import NotReady


class Figure(msgspec.Struct, frozen=True):
    """One line of the table: one number of all runs"""

    what: str
    unit: str
    reach: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Size:
    seconds: float
    streams: int
    videos: int
    share: float  # of the simulated viewers


FULL = Size(seconds=5.0, streams=1300, videos=1_000_000, share=1.0)
QUICK = Size(seconds=0.5, streams=20, videos=10_000, share=0.01)

Run = Mapping[str, tuple[str, str, float]]
"""Of one run of one part: what -> its unit, what is to be reached, and what was measured"""


async def throughput(size: Size) -> Run:
    async with Replica() as replica, Nodes(replica.address, "a", 1) as one, Nodes(replica.address, "b", 1) as two:
        async with grpc.aio.insecure_channel(replica.address) as channel:
            publisher = Publisher(DispatcherStub(channel))
            rate = await publisher.as_fast_as_it_goes(size.seconds)
            await publisher.close()
        check([*await one.report(), *await two.report()])
    return {"through to two nodes, acknowledged": ("comments/s", "100,000", rate)}


async def latency(size: Size) -> Run:
    p50, p99, _ = await _due_to_taken(size, 2, 1000)
    return {
        "two nodes, 1,000 comments/s, p50": ("ms", "3", p50),
        "two nodes, 1,000 comments/s, p99": ("ms", "10", p99),
    }


async def wide(size: Size) -> Run:
    p50, p99, memory = await _due_to_taken(size, size.streams, 50)
    what = f"one video on {size.streams:,} nodes, 50/s"
    return {
        f"{what}, p50": ("ms", "", p50),
        f"{what}, p99": ("ms", "250", p99),
        "the replica's memory then": ("MiB", "", memory / 2**20),
    }


async def _due_to_taken(size: Size, streams: int, rate: float) -> tuple[float, float, int]:
    """p50 and p99 from the due time to the node, in ms, and the replica's resident memory"""
    async with (
        Replica() as replica,
        Nodes(replica.address, "a", streams // 2) as one,
        Nodes(replica.address, "b", streams - streams // 2) as two,
    ):
        await asyncio.sleep(DISPATCHER.settle_s)
        async with grpc.aio.insecure_channel(replica.address) as channel:
            publisher = Publisher(DispatcherStub(channel))
            count = await publisher.steadily(rate, size.seconds)
            await publisher.close()
        taken = [*await one.report(), *await two.report()]
        check(taken, count)
        memory = procfs.rss_bytes(pid_of(replica.process))
    latencies = sorted(ms for each in taken for ms in each.latencies_ms)
    return latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100], memory


async def restart(size: Size) -> Run:
    """From kill -9 to a new process that knows all nodes again"""
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
        seconds = time.monotonic() - started
    return {f"kill -9, until {size.streams:,} nodes are back": ("s", "5", seconds)}


def check(taken: Sequence[Taken], count: int | None = None) -> None:
    """Raises Faulty if anything was pushed in vain, twice, or not at all."""
    useless, doubled = sum(each.useless for each in taken), sum(each.doubled for each in taken)
    lost = sum(count - each.comments for each in taken) if count is not None else 0
    if useless or doubled or lost:
        raise Faulty(f"useless pushes {useless}, doubled {doubled}, lost {lost}")


class Faulty(Exception):
    """The replica has broken a promise."""


MEASURED: Mapping[str, Callable[[Size], Awaitable[Run]]] = {
    "throughput": throughput,
    "latency": latency,
    "wide": wide,
    "restart": restart,
}
SIMULATED = ("registry", "placement")
PARTS = (*MEASURED, *SIMULATED)


async def measure(size: Size, parts: Collection[str], repeats: int) -> list[Figure]:
    """All parts in turn, again and again, so that a slow minute of the machine spoils one run of each."""
    runs = [await part(size) for _ in range(repeats) for name, part in MEASURED.items() if name in parts]
    whats = dict.fromkeys(what for run in runs for what in run)
    figures = []
    for what in whats:
        found = [run[what] for run in runs if what in run]
        figures.append(Figure(what, found[0][0], found[0][1], [value for _, _, value in found]))
    return figures


async def simulate(size: Size, part: str) -> str:
    """What `python -m scripts.benches.registry` prints: the registry's costs, or the placement of three workloads"""
    simulation = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "scripts.benches.registry", "--only", part),
        *("--videos", str(size.videos), "--share", str(size.share)),
        stdout=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    out, _ = await simulation.communicate()
    if simulation.returncode:
        raise Faulty("the simulation has failed")
    return out.decode()


def dispatcher(parts: Collection[str], repeats: int, quick: bool, json: Path | None) -> int:
    """Returns the exit code: 1 if a promise was broken or a process failed."""
    size = QUICK if quick else FULL
    console = Console()
    console.print(f"{procfs.machine()}; medians of {repeats}", style="dim")
    try:
        figures = run_stoppable(measure(size, parts, repeats))
        if figures:
            console.print(_table(figures), "lost=0 doubled=0 useless=0", sep="\n")
        for part in (part for part in SIMULATED if part in parts):
            console.print("", run_stoppable(simulate(size, part)).rstrip(), sep="\n", soft_wrap=True, highlight=False)
    except (Faulty, NotReady, TimeoutError, grpc.aio.AioRpcError) as error:
        Console(stderr=True).print(f"[bold red]{error!r}")
        return 1
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    return 0


def _table(figures: Sequence[Figure]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("what")
    for column in ("measured", "reach"):
        table.add_column(column, justify="right", no_wrap=True)
    for figure in figures:
        digits = 1 if figure.median < 100 else 0
        reach = f"{figure.reach} {figure.unit}" if figure.reach else ""
        table.add_row(figure.what, f"{figure.median:,.{digits}f} {figure.unit}", reach)
    return table
