"""scripts/bench fanout: compares the RMS with its peers, on this machine, in this hour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from scripts.benches import procfs
from scripts.benches.run import Figures, Load, medians, run
from scripts.benches.running import EXPECTED
from scripts.benches.schedule import Line, frame_bytes
from scripts.benches.servers import lacks
from scripts.benches.table import Cell, console, ms, size, table

OURS = "rms"

COLUMNS = (
    *("\nserver", "comments\n/s", "deliveries\n/s", "\nlost", "\ndoubled", "p50\nms", "p99\nms", "p99.9\nms"),
    *("CPU s\nper M", "RSS a\nviewer"),
)
"""CPU seconds of all the server's processes for a million deliveries; resident memory of the one with the viewers"""


@dataclass(frozen=True, slots=True)
class Form:
    """What was asked for on the command line"""

    viewers: int = 10_000
    rates: Sequence[float] = (5, 20, 100)
    seconds: float = 8.0
    repeats: int = 3
    peers: Sequence[str] = ()
    slow: int = 0
    gzip: Sequence[Line] = ()
    """what real people said; empty: compression isn't measured"""


class Fanout:
    def __init__(self, form: Form) -> None:
        self._form = form
        self._say = console(stderr=True)
        self._lines: list[str] = []  # what stands below the table

    async def run(self) -> bool:
        """True: our own server lost nothing and doubled nothing."""
        form = self._form
        names = self._names()
        loads = [Load(form.viewers, rate, form.seconds) for rate in form.rates]
        rows = await self._repeated([(name, load) for load in loads for name in names])
        self._lines += [*comparisons(rows), *holds(rows)]
        for load in loads if form.slow else ():
            alone = replace(load, viewers=load.viewers - form.slow)
            await self._pair(slow_line, alone, replace(alone, idle=form.slow))
        for load in loads if form.gzip else ():
            plain = replace(load, lines=tuple(form.gzip))
            await self._pair(gzip_line, plain, replace(plain, gzip=True))
        self._show(rows)
        return not any(row.lost or row.doubled for row in rows if row.server == OURS)

    def _names(self) -> list[str]:
        """Ours, and the peers that can be run here"""
        names = []
        for name in (OURS, *self._form.peers):
            if why := lacks(name):
                self._say.print(f"{name} is left out: {why}", style="yellow")
            else:
                names.append(name)
        return names

    async def _repeated(self, pairs: Sequence[tuple[str, Load]]) -> list[Figures]:
        """The medians, in the same order. One round after another, so that a slow hour of the machine hits all."""
        done: list[list[Figures]] = [[] for _ in pairs]
        for number in range(self._form.repeats):
            for runs, (name, load) in zip(done, pairs, strict=True):
                if figures := await self._one(name, load, f"run {number + 1} of {self._form.repeats}"):
                    runs.append(figures)
        return [medians(runs) for runs in done if runs]

    async def _one(self, name: str, load: Load, which: str) -> Figures | None:
        """None: the server didn't hold out; that is said."""
        beside = f" beside {load.idle:,} who never read" if load.idle else ""
        packed = " with gzip" if load.gzip else ""
        asked = f"{name}, {load.rate:g} comments/s to {load.viewers:,} viewers{packed}{beside}, {which}"
        try:
            figures = await run(name, load)
        except EXPECTED as error:
            self._say.print(f"{asked}: {error}", *getattr(error, "__notes__", ()), sep="\n", style="red")
            return None
        outcome = "falls behind" if figures.falls_behind else f"p99 {ms(figures.p99_ms)} ms, lost {figures.lost}"
        self._say.print(f"{asked}: {figures.deliveries_per_s:,.0f} deliveries/s, {outcome}", style="dim")
        return figures

    async def _pair(self, line: Callable[[Figures, Figures], str], without: Load, beside: Load) -> None:
        """Our own server under two loads that differ in one thing; left out if one of them fails"""
        rows = await self._repeated([(OURS, without), (OURS, beside)])
        if len(rows) == 2:
            self._lines.append(line(*rows))

    def _show(self, rows: Sequence[Figures]) -> None:
        form, out = self._form, console()
        about = f"{form.viewers:,} viewers of one video"
        each = f"comments of {frame_bytes()} bytes, {form.seconds:g} s each, medians of {form.repeats}"
        out.print(servers_table(rows, f"{about}, {each}"))
        out.print(procfs.machine(), *self._lines, sep="\n")


def servers_table(rows: Sequence[Figures], title: str) -> object:
    """One line for each server and rate, grouped by rate"""
    cells: list[Sequence[Cell]] = []
    for row in sorted(rows, key=lambda row: row.load.rate):
        if cells and cells[-1][1] != f"{row.load.rate:g}":
            cells.append(())
        cells.append(_cells(row))
    return table(title, COLUMNS, cells)


def _cells(row: Figures) -> list[Cell]:
    latencies: list[Cell] = [ms(row.p50_ms), ms(row.p99_ms), ms(row.p999_ms)]
    lost = _fault(row.lost)
    if row.falls_behind:
        # Its latency grows for as long as one cares to look, and what hasn't come yet isn't lost.
        latencies = [Text("falls", style="yellow"), Text("behind", style="yellow"), ""]
        lost = Text("–")
    return [
        *(row.server, f"{row.load.rate:g}", f"{row.deliveries_per_s:,.0f}", lost, _fault(row.doubled), *latencies),
        *(f"{row.cpu_s_per_million:.2f}", size(row.rss_bytes_per_viewer)),
    ]


def _fault(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "")


def comparisons(rows: Sequence[Figures]) -> list[str]:
    """Our p99 against each other server's, at each rate that both keep up with"""
    lines = []
    for mine in (row for row in rows if row.server == OURS and not row.falls_behind):
        others = (row for row in rows if row.load.rate == mine.load.rate and row.server != OURS)
        against = [f"{mine.p99_ms / each.p99_ms:.2f} × {each.server}'s" for each in others if not each.falls_behind]
        if against:
            lines.append(f"{mine.load.rate:g} comments/s: p99 is {', '.join(against)}")
    return lines


def holds(rows: Sequence[Figures]) -> list[str]:
    """The longest time for which a sweep of ours kept all else waiting"""
    longest_ms = max((row.longest_hold_ms for row in rows), default=0.0)
    return [f"{OURS}: a sweep held the event loop for {ms(longest_ms)} ms at most"] if longest_ms else []


def slow_line(without: Figures, beside: Figures) -> str:
    """What viewers who never read cost the others"""
    ratio = beside.p99_ms / without.p99_ms if without.p99_ms else 0.0
    return (
        f"{beside.load.idle:,} who never read beside {beside.load.viewers:,}, {beside.load.rate:g} comments/s: the "
        f"others' p99 {ms(without.p99_ms)} → {ms(beside.p99_ms)} ms ({ratio:.2f} ×), RSS {size(without.rss_end_bytes)} "
        f"→ {size(beside.rss_end_bytes)}, TCP buffers {size(without.tcp_bytes)} → {size(beside.tcp_bytes)}, "
        f"lost={beside.lost} doubled={beside.doubled}"
    )


def gzip_line(without: Figures, beside: Figures) -> str:
    """What compression saves and costs"""
    share = beside.frame_bytes / max(without.frame_bytes, 1)
    cpu = beside.cpu_s_per_million / without.cpu_s_per_million if without.cpu_s_per_million else 0.0
    return (
        f"gzip, {beside.load.rate:g} comments/s: {without.frame_bytes:.0f} → {beside.frame_bytes:.0f} bytes a delivery "
        f"({share:.0%}), server's CPU {cpu:.2f} ×, p99 {ms(without.p99_ms)} → {ms(beside.p99_ms)} ms, "
        f"lost={beside.lost} doubled={beside.doubled}"
    )
