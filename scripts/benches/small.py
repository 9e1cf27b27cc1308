"""scripts/bench small: what many small videos cost, through the whole system: comment_service, dispatchers, RMS nodes.

Viewers are viewers.c's, as browsers are: they accept gzip, follow the 307, and come back after a cut with their
position. Each run counts exactly: every viewer has every comment of its video once.
"""

import asyncio
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from scripts.benches import procfs
from scripts.benches.authors import Authors
from scripts.benches.config import SMALL, SmallSettings
from scripts.benches.running import BenchFailed, Child, pid_of, quiet_plan, running
from scripts.benches.stores import BenchStore, a_store
from scripts.benches.table import console, number, table
from scripts.benches.viewers import Viewers
from scripts.plan import ROLES, Part, Plan
from scripts.processes import ROOT, Process, start_tethered

Measured = dict[str, float]
"""Of one run: what -> how much; the unit is its last word"""


class Network:
    """The whole system with many videos, the same viewers of each, and nobody connected yet"""

    def __init__(
        self, plan: Plan, processes: Sequence[Process], viewers: Viewers, videos: int, settings: SmallSettings
    ) -> None:
        self.plan = plan
        self.viewers = viewers
        self.processes = {process.name: process for process in processes}
        self.port = int(plan.base_url.rpartition(":")[2])
        self.authors = Authors(self.port, [f"small-{each}" for each in range(videos)])
        self.authors.started()
        self.watched = 0
        self._settings = settings

    def cpu_s(self) -> dict[str, float]:
        """Of all processes since their start, by role"""
        used: dict[str, float] = defaultdict(float)
        for process in self.processes.values():
            used[process.name.rpartition("-")[0]] += procfs.cpu_s(pid_of(process))
        return used

    def rss_bytes(self) -> int:
        """Of the RMS nodes"""
        return sum(procfs.rss_bytes(pid_of(each)) for name, each in self.processes.items() if name.startswith("rms"))

    async def watch(self, count: int) -> None:
        """So many more viewers connect; returns when all have their stream, whoever was put off before."""
        await self.viewers.connect(count, self.port)

    async def nodes_metric(self, name: str) -> list[float]:
        """A number of each running RMS's /metrics; 0 where it has none such"""
        found = []
        async with aiohttp.ClientSession() as session:
            for part in self.plan["rms"]:
                if part.name not in self.processes:
                    continue
                async with session.get(f"http://{part.operators}/metrics") as answer:
                    families = text_string_to_metric_families(await answer.text())
                values = (each.value for family in families for each in family.samples if each.name == name)
                found.append(next(values, 0.0))
        return found

    async def check(self, comments: int, extra: int = 0) -> Measured:
        """After a wait for the comments: what the viewers lack, or have twice, and what authors were refused."""
        report = await self.viewers.report(comments)
        wrong = sum(self.authors.errors.values()) + self.authors.cut + extra
        wrong += report.misplaced + (comments - len(self.authors.acknowledged))
        return {
            "p50 ms": report.percentile_ms(0.5),
            "p99 ms": report.percentile_ms(0.99),
            "lost": report.lost,
            "doubled": report.doubled,
            "wrong": wrong,
        }


@asynccontextmanager
async def a_network(
    root: Path, store: BenchStore, videos: int, comments: int, settings: SmallSettings, nodes: int = 2
) -> AsyncIterator[Network]:
    """Everything is ready. nodes: how many of the two RMS are started. root: of the checkout whose code they run."""
    plan = quiet_plan(store.url, store.folder, dispatchers=2, rms=2)
    groups = [plan["dispatcher"], plan["rms"][:nodes], plan["comment-service"]]
    viewers = Viewers(0, "/comments/small-", comments, gzip=True, videos=videos)
    async with running(groups, root=root) as processes, viewers:
        yield Network(plan, processes, viewers, videos, settings)


async def cost(root: Path, kind: str, settings: SmallSettings) -> Measured:
    """CPU of a comment: of each role and of all together, in videos where somebody has spoken before"""
    videos, count = settings.videos, round(settings.calm_rate * settings.seconds)
    async with a_store(kind) as store, a_network(root, store, videos, videos + count, settings) as network:
        await network.watch(videos * settings.viewers_each)
        await network.authors.post(settings.warm_rate, videos)
        await network.viewers.wait_for(videos, settings.drain_s)
        before = network.cpu_s()
        await network.authors.post(settings.calm_rate, count, first=videos)
        await network.viewers.wait_for(videos + count, settings.drain_s)
        used = {role: (cpu_s - before[role]) / count * 1_000 for role, cpu_s in network.cpu_s().items()}
        checked = await network.check(videos + count)
    return {
        **{f"CPU a comment, {role} ms": used[role] for role in ROLES if role in used},
        "CPU a comment, all ms": sum(used.values()),
        **checked,
    }


async def delay(root: Path, kind: str, settings: SmallSettings) -> Measured:
    """At a high rate: latency over many videos beside that of one, and the longest hold of a loop"""
    many, one = [await _delay(root, kind, videos, settings) for videos in (settings.videos, 1)]
    return {
        **{f"one video's {what}": one[what] for what in ("p50 ms", "p99 ms")},
        "p99, of one video's x": many["p99 ms"] / one["p99 ms"],
        **many,
        **{what: many[what] + one[what] for what in ("lost", "doubled", "wrong")},
    }


async def _delay(root: Path, kind: str, videos: int, settings: SmallSettings) -> Measured:
    count = round(settings.high_rate * settings.seconds)
    async with a_store(kind) as store, a_network(root, store, videos, count, settings) as network:
        await network.watch(videos * settings.viewers_each)
        parts = (*network.plan["rms"], *network.plan["comment-service"])
        async with _watchdog(network, parts) as watchdog:
            await network.authors.post(settings.high_rate, count)
            await network.viewers.wait_for(count, settings.drain_s)
            holds_ms = await watchdog.ask("", dict[str, float], settings.answer_s)
        held = {role: max(holds_ms.get(_port(part), 0.0) for part in network.plan[role]) for role in HELD}
        return {**await network.check(count), **{f"longest hold, {role} ms": held[role] for role in HELD}}


HELD = ("rms", "comment-service")
"""Roles whose loops are watched: they speak HTTP"""


def _watchdog(network: Network, parts: Sequence[Part]) -> Child:
    targets = (f"{_port(part)}:{pid_of(network.processes[part.name])}" for part in parts)
    return Child("watchdog", (sys.executable, "-P", "-m", "scripts.benches.watchdog", *targets))


def _port(part: Part) -> str:
    return part.address.rpartition(":")[2]


async def opening(root: Path, kind: str, settings: SmallSettings) -> Measured:
    """Many videos with a past get their first viewers, then their other ones; then they are quiet."""
    async with _past(root, kind, settings) as store, a_network(root, store, settings.opened, 1, settings, 1) as network:
        return await _open(network, settings)


async def _open(network: Network, settings: SmallSettings) -> Measured:
    videos, before, rss_bytes = settings.opened, sum(network.cpu_s().values()), network.rss_bytes()
    begin_s = time.monotonic()
    await network.watch(videos)
    seconds, used_s = time.monotonic() - begin_s, sum(network.cpu_s().values()) - before
    await network.watch(videos * (settings.viewers_each - 1))
    await asyncio.sleep(settings.quiet_s)
    return {
        "opening ms CPU": used_s / videos * 1_000,
        "opening, all s": seconds,
        "history reads": sum(await network.nodes_metric("rms_history_reads_total")) / videos,
        "RSS a video KB": (network.rss_bytes() - rss_bytes) / videos / 1024,
    }


async def failover(root: Path, kind: str, settings: SmallSettings) -> Measured:
    """kill -9 of the RMS that serves all videos, while people talk; another one has just been started."""
    count = round(settings.failover_rate * settings.failover_s)
    async with (
        _past(root, kind, settings) as store,
        a_network(root, store, settings.opened, count, settings, 1) as network,
    ):
        await _open(network, settings)
        async with running([network.plan["rms"][1:]], root=root) as (other,):
            posting = asyncio.create_task(network.authors.post(settings.failover_rate, count))
            await asyncio.sleep(settings.failover_s / 2)
            network.processes["rms-1"].signal(signal.SIGKILL)
            killed_s = time.monotonic()
            await posting
            await network.viewers.wait_for(count, settings.drain_s)
            whole_s = time.monotonic() - killed_s
            network.processes = {other.name: other}
            (most,) = await network.nodes_metric("rms_history_reads_at_once_max")
            ended = (await network.viewers.report(count)).ended
            checked = await network.check(count, extra=settings.opened * settings.viewers_each - ended)
    return {"all are whole again s": whole_s, "store reads at once": most, **checked}


@asynccontextmanager
async def _past(root: Path, kind: str, settings: SmallSettings) -> AsyncIterator[BenchStore]:
    """A store in which each video has some past, written by the code that reads it"""
    async with a_store(kind) as store:
        script = Path(__file__).with_name("small_past.py")
        command = (sys.executable, "-P", str(script), store.url, str(settings.opened), str(settings.past))
        if await (await start_tethered(command, root)).wait():
            raise BenchFailed("the past could not be stored")
        yield store


PARTS: Mapping[str, Callable[[Path, str, SmallSettings], Awaitable[Measured]]] = {
    "cost": cost,
    "delay": delay,
    "opening": opening,
    "failover": failover,
}

CHECKED = ("lost", "doubled", "wrong")


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for on the command line"""

    parts: Sequence[str]
    stores: Sequence[str]
    repeats: int
    beside: Path | None


async def small(form: Form, settings: SmallSettings = SMALL) -> bool:
    """True: our own lost, doubled and refused nothing. Raises BenchFailed, NotReady."""
    out, kept = console(), True
    roots = [ROOT, *([form.beside.resolve()] if form.beside else [])]
    out.print(procfs.machine())
    for part in form.parts:
        for kind in form.stores:
            runs: list[list[Measured]] = [[] for _ in roots]
            for _ in range(form.repeats):
                for done, root in zip(runs, roots, strict=True):
                    done.append(await PARTS[part](root, kind, settings))
                    console(stderr=True).print(f"{part}, {kind}, {root}: {done[-1]}", style="dim")
            columns = ("what", "here", *([f"{form.beside}", "here of it"] if form.beside else []), "runs here")
            out.print(table(f"{part}, {kind}, medians of {form.repeats}", columns, _rows(runs)))
            kept = kept and not any(run.get(what) for run in runs[0] for what in CHECKED)
    return kept


def _rows(runs: Sequence[Sequence[Measured]]) -> list[Sequence[str]]:
    """One for each figure: the medians, how large ours is beside the other one, and our own runs"""
    rows: list[Sequence[str]] = []
    for what in runs[0][0]:
        sides = [[run[what] for run in each] for each in runs]
        middle = [max(side) if what in CHECKED else median(side) for side in sides]
        ratio = [f"{middle[0] / middle[1]:.2f}" if middle[1] else ""] if len(sides) > 1 else []
        rows.append((what, *map(number, middle), *ratio, " ".join(map(number, sides[0]))))
    return rows
