"""scripts/bench fanout: the RMS beside its peers, on this machine, in this hour."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import msgspec
from rich.console import Console

from scripts.benches import procfs
from scripts.benches.building import CannotBuild, build
from scripts.benches.config import BENCH
from scripts.benches.contender import Contender
from scripts.benches.contenders import CONTENDERS
from scripts.benches.highest import highest, majority
from scripts.benches.joins import Joins, measure_joins
from scripts.benches.pairs import Pair, gzip_line, gzip_loads, slow_line, slow_loads
from scripts.benches.plot import draw
from scripts.benches.run import Figures, Load, medians, run
from scripts.benches.schedule import Line, frame_bytes
from scripts.benches.stopping import run_stoppable
from scripts.benches.table import comparisons, holds, ms, servers_table
from scripts.benches.viewers import GeneratorFailed
from scripts.processes import NotReady

OURS = "rms"
SEARCHED = (OURS, "nchan")

Failed = (NotReady, GeneratorFailed, CannotBuild, grpc.RpcError, aiohttp.ClientError, OSError)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line."""

    viewers: int
    rates: Sequence[float]
    seconds: float
    repeats: int
    peers: Sequence[str]
    slow: int
    gzip: Sequence[Line]
    """what real people said; empty: compression isn't measured"""
    joins: int
    highest: bool
    json: Path | None
    svg: Path | None


class Results(msgspec.Struct):
    """What --json writes. `fanout` has medians, `runs` all single runs."""

    when: str
    machine: procfs.Machine
    seconds: float
    repeats: int
    frame_bytes: int
    fanout: list[Figures]
    runs: list[Figures]
    slow: list[Pair]
    gzip: list[Pair]
    highest: dict[str, Figures]
    joins: Joins | None = None


class Fanout:
    def __init__(self, wishes: Wishes, console: Console) -> None:
        self._wishes = wishes
        self._say = Console(stderr=True, highlight=False, soft_wrap=True)
        self._console = console
        self._results = Results(
            when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            machine=procfs.machine(),
            seconds=wishes.seconds,
            repeats=wishes.repeats,
            frame_bytes=frame_bytes(),
            fanout=[],
            runs=[],
            slow=[],
            gzip=[],
            highest={},
        )

    async def run(self) -> bool:
        """True: our own server lost nothing and doubled nothing."""
        wishes, results = self._wishes, self._results
        kinds = self._kinds()
        loads = [Load(wishes.viewers, rate, wishes.seconds) for rate in wishes.rates]
        results.fanout = await self._repeated([(kind, load) for load in loads for kind in kinds])
        if wishes.slow:
            results.slow = await self._pairs([slow_loads(load, wishes.slow) for load in loads])
        if wishes.gzip:
            results.gzip = await self._pairs([gzip_loads(load, wishes.gzip) for load in loads])
        if wishes.highest:
            for kind in kinds:
                if kind.name in SEARCHED:
                    await self._search(kind)
        if wishes.joins:
            self._say.print(f"{wishes.joins:,} joins at once")
            results.joins = await measure_joins(wishes.joins)
        self._show()
        self._write()
        return not any(row.lost or row.doubled for row in results.fanout if row.server == OURS)

    def _kinds(self) -> list[type[Contender]]:
        """Ours, and the peers that can be run here"""
        kinds = []
        for name in (OURS, *self._wishes.peers):
            if lacks := CONTENDERS[name].prepare():
                self._say.print(f"{name} is left out: {lacks}", style="yellow")
            else:
                kinds.append(CONTENDERS[name])
        return kinds

    async def _repeated(self, pairs: Sequence[tuple[type[Contender], Load]]) -> list[Figures]:
        """The medians, in the same order. One round after another, so that a slow hour of the machine hits all."""
        done: list[list[Figures]] = [[] for _ in pairs]
        for number in range(self._wishes.repeats):
            for place, (kind, load) in enumerate(pairs):
                figures = await self._one(kind, load, f"run {number + 1} of {self._wishes.repeats}")
                if figures:
                    done[place].append(figures)
        return [medians(runs) for runs in done if runs]

    async def _one(self, kind: type[Contender], load: Load, which: str) -> Figures | None:
        """None: the server didn't hold out; that is said."""
        beside = f" beside {load.idle:,} who never read" if load.idle else ""
        packed = " with gzip" if load.gzip else ""
        asked = f"{kind.name}, {load.rate:g} comments/s to {load.viewers:,} viewers{packed}{beside}, {which}"
        try:
            figures = await run(kind, load)
        except Failed as error:
            self._say.print(f"{asked}: {error}", *getattr(error, "__notes__", ()), sep="\n", style="red")
            return None
        self._results.runs.append(figures)
        outcome = "falls behind" if figures.falls_behind else f"p99 {ms(figures.p99_ms)} ms, lost {figures.lost}"
        self._say.print(f"{asked}: {figures.deliveries_per_s:,.0f} deliveries/s, {outcome}", style="dim")
        return figures

    async def _pairs(self, loads: Sequence[tuple[Load, Load]]) -> list[Pair]:
        """Our own server under both loads of each pair; a pair of which one failed is left out."""
        pairs = []
        for pair in loads:
            rows = await self._repeated([(CONTENDERS[OURS], load) for load in pair])
            if len(rows) == len(pair):
                pairs.append(Pair(*rows))
        return pairs

    async def _search(self, kind: type[Contender]) -> None:
        """The highest sustained rate, by majority of some runs at each rate that is tried"""
        best: dict[float, Figures] = {}

        async def once(rate: float) -> bool:
            figures = await self._one(kind, Load(self._wishes.viewers, rate, self._wishes.seconds), "search")
            if figures is None or figures.falls_behind or figures.lost:
                return False
            best[rate] = figures
            return True

        async def sustains(rate: float) -> bool:
            return await majority(lambda: once(rate), BENCH.search_votes)

        rate = await highest(sustains, self._first(kind.name))
        if rate:
            self._results.highest[kind.name] = best[rate]

    def _first(self, name: str) -> float:
        """Where to begin: the highest rate that it has kept up with so far"""
        kept = [row.rate for row in self._results.fanout if row.server == name and not row.falls_behind]
        return max(kept, default=min(self._wishes.rates))

    def _show(self) -> None:
        results, show = self._results, self._console.print
        title = (
            f"{self._wishes.viewers:,} viewers of one video, comments of {results.frame_bytes} bytes, "
            f"{results.seconds:g} s each, medians of {results.repeats}"
        )
        show(servers_table(results.fanout, title))
        show(str(results.machine))
        for line in (*comparisons(results.fanout), *holds(results.fanout)):
            show(line)
        for pair in results.slow:
            show(slow_line(pair))
        for pair in results.gzip:
            show(gzip_line(pair))
        for name, row in results.highest.items():
            show(f"highest sustained, {name}: {row.deliveries_per_s:,.0f} deliveries/s ({row.rate:.1f} comments/s)")
        if len(results.highest) == len(SEARCHED):
            mine, theirs = (results.highest[name].deliveries_per_s for name in SEARCHED)
            show(f"that is {mine / theirs:.1f} × {SEARCHED[1]}'s")
        if results.joins:
            show(results.joins.line())

    def _write(self) -> None:
        wishes, results = self._wishes, self._results
        if wishes.json:
            wishes.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
        if wishes.svg and results.fanout:
            about = f"{wishes.viewers:,} viewers of one video; {results.machine}"
            wishes.svg.write_text(draw(results.fanout, about))


def fanout(wishes: Wishes) -> int:
    """The exit code: 1 if our own server lost or doubled anything, or nothing can be measured."""
    try:
        build("viewers", gzip=bool(wishes.gzip))
        return 0 if run_stoppable(Fanout(wishes, Console(highlight=False, soft_wrap=True)).run()) else 1
    except CannotBuild as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; all that it started is ended", file=sys.stderr)
        return 130
