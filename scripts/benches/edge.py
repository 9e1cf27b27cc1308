"""scripts/bench edge: what a balancer in front costs, and what its viewers notice of strangers who attack."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from rich.text import Text

from scripts.balancers import WAYS
from scripts.benches import attacks, procfs
from scripts.benches.attack_mixes import MIXES
from scripts.benches.config import EDGE, FANOUT, EdgeSettings
from scripts.benches.edge_system import DIRECT, FRONTS, EdgeSystem, a_front, an_edge_system, lacks, viewers_of
from scripts.benches.run import Figures, Load, figures, medians, publish
from scripts.benches.running import EXPECTED
from scripts.benches.schedule import Schedule, soon
from scripts.benches.table import Cell, console, ms, table

PARTS = ("cost", "attacks")

COLUMNS = (
    *("\nin front", "\nviewers", "busiest\nnode", "\nlost", "\ndoubled", "p50\nms", "p99\nms"),
    *("services\nCPU s/M", "balancer\nCPU s/M"),
)
"""none, 3: viewers go to three nodes themselves. Then the way. CPU seconds of all processes for a million deliveries"""


@dataclass(frozen=True, slots=True)
class Form:
    """What was asked for on the command line"""

    parts: Sequence[str] = PARTS
    viewers: Sequence[int] = (1_000, 5_000)
    fronts: Sequence[str] = FRONTS
    """for what they cost"""
    attacked: Sequence[str] = (DIRECT, "haproxy")
    """behind which the system is attacked"""
    mixes: Sequence[str] = tuple(MIXES)
    repeats: int = 3


class Contender(NamedTuple):
    kind: str
    way: str = ""
    nodes: int = 1  # that viewers go to if no balancer is there

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.way or self.nodes}"


class Cost(NamedTuple):
    figures: Figures
    busiest: float  # viewers on the node that has most of them
    balancer_cpu_s_per_million: float


def contenders(fronts: Sequence[str], nodes: int) -> list[Contender]:
    """Without a balancer there are two: as hash and placed put the viewers of a video on some nodes, or on one."""
    ways = {front: [Contender(front, way) for way in WAYS] for front in fronts}
    ways[DIRECT] = [Contender(DIRECT), Contender(DIRECT, nodes=nodes)]
    return [each for front in fronts for each in ways[front]]


async def edge(form: Form, settings: EdgeSettings = EDGE) -> bool:
    """True: nothing was lost or doubled, and attacks left nothing behind. Raises NotReady, BenchFailed."""
    fine = True
    if "cost" in form.parts:
        fine = await _costs(form, settings)
    if "attacks" in form.parts:
        for front in _present(form.attacked):
            fine = await attacks.attacks(front, form.mixes, form.repeats, settings) and fine
    console().print(procfs.machine())
    return fine


def _present(fronts: Sequence[str]) -> list[str]:
    """Without those that can't be run here, which is said"""
    for front in fronts:
        if why := lacks(front):
            console(stderr=True).print(f"{front} is left out: {why}", style="yellow")
    return [front for front in fronts if not lacks(front)]


async def _costs(form: Form, settings: EdgeSettings) -> bool:
    loads = [Load(viewers, settings.rate, settings.seconds) for viewers in form.viewers]
    asked = [(load, each) for load in loads for each in contenders(_present(form.fronts), settings.nodes)]
    done: list[list[Cost]] = [[] for _ in asked]
    for repeat in range(form.repeats):  # one round after another, so that a slow hour of the machine hits all
        async with an_edge_system(settings) as system:
            for number, (runs, (load, contender)) in enumerate(zip(done, asked, strict=True)):
                if cost := await _one(system, contender, load, f"edge-{repeat}-{number}", settings):
                    runs.append(cost)
    rows = [middle(runs) for runs in done if runs]
    each = f"{settings.rate:g} comments/s for {settings.seconds:g} s, medians of {form.repeats}"
    console().print(costs_table(rows, f"viewers of one video over HTTP/1.1 without TLS, {each}"))
    return len(rows) == len(asked) and not any(row.figures.lost or row.figures.doubled for row in rows)


async def _one(system: EdgeSystem, contender: Contender, load: Load, video: str, settings: EdgeSettings) -> Cost | None:
    """None: it failed, which is said."""
    say = console(stderr=True)
    try:
        cost = await measure(system, contender, load, video, settings)
    except EXPECTED as error:
        say.print(f"{contender.name}, {load.viewers:,} viewers: {error}", *getattr(error, "__notes__", ()), sep="\n")
        return None
    found = cost.figures
    said = f"p99 {ms(found.p99_ms)} ms, lost {found.lost}, doubled {found.doubled}"
    say.print(f"{contender.name}, {load.viewers:,} viewers: {said}", style="dim")
    return cost


async def measure(
    system: EdgeSystem, contender: Contender, load: Load, video: str, settings: EdgeSettings = EDGE
) -> Cost:
    """One contender under one load. video: nobody has watched it before."""
    async with (
        a_front(system, *contender) as front,
        viewers_of(video, load.viewers, load.comments) as audience,
    ):
        ports = front.stream_ports
        for number, port in enumerate(ports):
            await audience.connect(load.viewers // len(ports) + (number < load.viewers % len(ports)), port)
        busiest, cpu_s, front_cpu_s = max(await system.seats()), system.cpu_s(), front.cpu_s()
        schedule = Schedule(soon(FANOUT.lead_s), load.rate, load.comments, video=video)
        await audience.deadline(schedule.end_ns)
        blocked_s = await publish(system.publish, schedule)
        await audience.settle(schedule)
        report = await audience.report(schedule.count)
        found = figures(contender.name, load, schedule, report, blocked_s, system.cpu_s() - cpu_s)
        balancer_cpu_s = front.cpu_s() - front_cpu_s
        return Cost(found, busiest, balancer_cpu_s / max(report.deliveries, 1) * 1e6)


def middle(runs: Sequence[Cost]) -> Cost:
    """The medians; of losses and doubles the worst run"""
    return Cost(
        medians([run.figures for run in runs]),
        median(run.busiest for run in runs),
        median(run.balancer_cpu_s_per_million for run in runs),
    )


def costs_table(rows: Sequence[Cost], title: str) -> object:
    """One line for each contender and number of viewers, grouped by that"""
    cells: list[Sequence[Cell]] = []
    for number, row in enumerate(rows):
        if number and rows[number - 1].figures.load != row.figures.load:
            cells.append(())
        cells.append(_cells(row))
    return table(title, COLUMNS, cells)


def _cells(row: Cost) -> list[Cell]:
    found = row.figures
    faults = [Text(f"{count:,}", style="bold red" if count else "") for count in (found.lost, found.doubled)]
    latencies: list[Cell] = [ms(found.p50_ms), ms(found.p99_ms)]
    if found.falls_behind:
        latencies = [Text("falls", style="yellow"), Text("behind", style="yellow")]
    balancer = "" if found.server.startswith(DIRECT) else f"{row.balancer_cpu_s_per_million:.2f}"
    seats = (f"{found.load.viewers:,}", f"{row.busiest:,.0f}")
    return [found.server, *seats, *faults, *latencies, f"{found.cpu_s_per_million:.2f}", balancer]
