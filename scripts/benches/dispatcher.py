"""scripts/bench dispatcher: measures what one replica carries, how fast, and what its registry costs."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from proto.channel import aio_channel
from proto.dispatch_pb2 import TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches import procfs, redis_pubsub
from scripts.benches.config import DISPATCHER, DispatcherSettings
from scripts.benches.dispatcher_nodes import Taken
from scripts.benches.publishing import at_full_speed, publish_grpc, steadily
from scripts.benches.running import BenchFailed, Child, Program, pid_of, running
from scripts.benches.schedule import Line, Schedule
from scripts.benches.table import Figure, console, joined, show_figures
from scripts.plan import free_ports, grpc_serving
from scripts.processes import Process, start_tethered

LINE = Line("u1", "what a goal " * 7)
THROUGH = "through to two nodes, acknowledged"
REDIS = "Redis Pub/Sub to two subscribers, not acknowledged"
OTHER = ", the other checkout"
SIMULATION = "scripts.benches.registry"
"""Prints the registry's costs, and where placement puts viewers in three workloads"""


@asynccontextmanager
async def a_replica() -> AsyncIterator[tuple[str, Process]]:
    """A dispatcher process on a free port, with its defaults: address and process"""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = (sys.executable, "-P", "-m", "dispatcher", "--listen", address, "--log-level", "warning")
    async with running([[Program("dispatcher", command, partial(grpc_serving, address))]]) as (process,):
        yield address, process


@asynccontextmanager
async def some_nodes(
    address: str, *counts: int, settings: DispatcherSettings = DISPATCHER
) -> AsyncIterator[Callable[[], Awaitable[list[Taken]]]]:
    """Starts a process for each count, with so many nodes, all welcomed by the replica.

    Yields a function that reports what each node has taken since its last report.
    """
    module = (sys.executable, "-P", "-m", "scripts.benches.dispatcher_nodes", address)
    async with AsyncExitStack() as stack:
        children = [Child(f"nodes {n}", (*module, f"nodes-{n}", str(count))) for n, count in enumerate(counts)]
        for child in children:
            await stack.enter_async_context(child)
            await child.answer(dict[str, int], settings.nodes_timeout_s)

        async def report() -> list[Taken]:
            reports = [await child.ask("report", list[Taken], settings.nodes_timeout_s) for child in children]
            return [taken for report in reports for taken in report]

        yield report


async def throughput(settings: DispatcherSettings) -> list[Figure]:
    """Events/s from one publisher through one replica to two nodes"""
    async with a_replica() as (address, _), some_nodes(address, 1, 1) as report:
        batches = at_full_speed(settings.seconds, settings.batch_events, b"x" * redis_pubsub.BYTES)
        started_s = time.monotonic()
        count = await publish_grpc(address, batches, pace=False)
        rate = count / (time.monotonic() - started_s)
        check(await report(), count)
    return [Figure(THROUGH, "comments/s", [rate], at_least=200_000)]


async def redis(settings: DispatcherSettings) -> list[Figure]:
    """The same with Redis, if it is there"""
    if missing := await redis_pubsub.missing():
        console().print(missing)
        return []
    return [Figure(REDIS, "messages/s", [await redis_pubsub.throughput(settings)])]


async def latency(settings: DispatcherSettings) -> list[Figure]:
    rate = settings.latency_rate
    p50, p99, _ = await _due_to_taken(2, rate, settings)
    what = f"two nodes, {rate:,.0f} comments/s"
    return [Figure(f"{what}, p50", "ms", [p50], at_most=3), Figure(f"{what}, p99", "ms", [p99], at_most=10)]


async def wide(settings: DispatcherSettings) -> list[Figure]:
    p50, p99, memory = await _due_to_taken(settings.nodes, settings.wide_rate, settings)
    what = f"one video on {settings.nodes:,} nodes, {settings.wide_rate:.0f}/s"
    return [
        Figure(f"{what}, p50", "ms", [p50]),
        Figure(f"{what}, p99", "ms", [p99], at_most=250),
        Figure("the replica's memory then", "MiB", [memory / 2**20]),
    ]


async def _due_to_taken(nodes: int, rate: float, settings: DispatcherSettings) -> tuple[float, float, int]:
    """p50 and p99 from the due time to the node, in ms, and the replica's resident memory"""
    async with (
        a_replica() as (address, process),
        some_nodes(address, nodes // 2, nodes - nodes // 2, settings=settings) as report,
    ):
        await asyncio.sleep(settings.settle_s)
        schedule = Schedule(time.monotonic_ns(), rate, int(rate * settings.seconds), lines=(LINE,))
        count = await publish_grpc(address, steadily(schedule))
        taken = await report()
        check(taken, count)
        memory = procfs.rss_bytes(pid_of(process))
    latencies = sorted(ms for each in taken for ms in each.latencies_ms)
    return latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100], memory


async def restart(settings: DispatcherSettings) -> list[Figure]:
    """From kill -9 to a new process that knows all nodes again"""
    async with a_replica() as (address, process), some_nodes(address, settings.nodes, settings=settings):
        process.signal(signal.SIGKILL)
        await process.wait()
        started_s = time.monotonic()
        await process.start()
        await process.wait_ready()
        async with aio_channel(address, None) as channel, asyncio.timeout(settings.nodes_timeout_s):
            stub = DispatcherStub(channel)
            # Another process has what we wait for.
            while len((await stub.Topology(TopologyRequest())).nodes) < settings.nodes:  # noqa: ASYNC110
                await asyncio.sleep(settings.poll_s)
        seconds = time.monotonic() - started_s
    return [Figure(f"kill -9, until {settings.nodes:,} nodes are back", "s", [seconds], at_most=5)]


def check(taken: Sequence[Taken], count: int) -> None:
    """Raises BenchFailed if anything was pushed in vain, twice, or not at all."""
    useless, doubled = sum(each.useless for each in taken), sum(each.doubled for each in taken)
    lost = sum(count - each.events + each.doubled for each in taken)
    if useless or doubled or lost:
        raise BenchFailed(f"useless pushes {useless}, doubled {doubled}, lost {lost}")


MEASURED: Mapping[str, Callable[[DispatcherSettings], Awaitable[list[Figure]]]] = {
    "throughput": throughput,
    "redis": redis,
    "latency": latency,
    "wide": wide,
    "restart": restart,
}
SIMULATED = ("registry", "placement")
PARTS = (*MEASURED, *SIMULATED)


async def dispatcher(
    parts: Collection[str], repeats: int, settings: DispatcherSettings = DISPATCHER, beside: Path | None = None
) -> bool:
    """Runs all parts in turn, again and again, so that a slow minute of the machine spoils one run of each.

    beside: another checkout; each part is followed by the same of that one, with its own bench. Raises BenchFailed if a
    promise was broken or a process failed, NotReady, grpc.RpcError.
    """
    figures: list[Figure] = []
    for _ in range(repeats):
        for name in (name for name in MEASURED if name in parts):
            ours = await MEASURED[name](settings)
            figures += ours
            figures += await _beside(beside, name, ours) if beside and name != "redis" else []
    if figures:
        shown = joined(figures)
        show_figures([*shown, *_ratios(shown)], procfs.machine())
        console().print("lost=0 doubled=0 useless=0")
    for part in (part for part in SIMULATED if part in parts):
        await simulate(part, settings)
    return True


async def _beside(checkout: Path, part: str, ours: Sequence[Figure]) -> list[Figure]:
    """The other checkout's figures of the same names, read from its table. Raises BenchFailed."""
    command = ("env", "COLUMNS=250", checkout / "scripts" / "bench", "dispatcher", "--only", part, "--repeats", "1")
    bench = await start_tethered([str(word) for word in command], stdout=asyncio.subprocess.PIPE)
    out, _ = await bench.communicate()
    if bench.returncode:
        raise BenchFailed(f"the bench of {checkout} has failed")
    figures = []
    for line in out.decode().splitlines():
        for figure in ours:
            if line.startswith(f"{figure.what} "):
                value = float(line.split()[-1].replace(",", ""))
                figures.append(Figure(f"{figure.what}{OTHER}", figure.unit, [value]))
    return figures


def _ratios(figures: Sequence[Figure]) -> list[Figure]:
    """Ours to the other checkout's and to Redis's, run by run"""
    by_what = {figure.what: figure for figure in figures}
    ratios = []
    for what, figure in by_what.items():
        if other := by_what.get(f"{what}{OTHER}"):
            least, most = (2, None) if what == THROUGH else (None, 0.5) if "nodes, 50/s, p99" in what else (None, None)
            values = [mine / its for mine, its in zip(figure.values, other.values, strict=True)]
            ratios.append(Figure(f"{what}, to the other's", "x", values, least, most))
    if THROUGH in by_what and REDIS in by_what:
        values = [mine / its for mine, its in zip(by_what[THROUGH].values, by_what[REDIS].values, strict=True)]
        ratios.append(Figure(f"{THROUGH}, to Redis's", "x", values, at_least=3))
    return ratios


async def simulate(part: str, settings: DispatcherSettings) -> None:
    """Raises BenchFailed."""
    words = ("--only", part, "--videos", str(settings.videos), "--share", str(settings.share))
    simulation = await start_tethered((sys.executable, "-P", "-m", SIMULATION, *words), stdout=asyncio.subprocess.PIPE)
    out, _ = await simulation.communicate()
    if simulation.returncode:
        raise BenchFailed(f"the simulation of {part} has failed")
    console().print("", out.decode().rstrip(), sep="\n")
