"""Measures what a crowd of viewers notices of strangers who attack, and what attacks leave behind."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.text import Text

from scripts.balancers import HASH
from scripts.benches.attack_mixes import CROWDED, MIXES
from scripts.benches.attacker import Seen
from scripts.benches.config import FANOUT, EdgeSettings
from scripts.benches.edge_system import DIRECT, EdgeSystem, Front, State, a_front, an_edge_system, viewers_of
from scripts.benches.run import publish
from scripts.benches.running import Child
from scripts.benches.schedule import Schedule, soon
from scripts.benches.table import Cell, console, ms, size, table
from scripts.benches.viewers import Audience, Report

RATIO_MAX = 1.2  # of the crowd's p99 beside an attack to the one without; stated

NOTICED = (
    *("\nattack", "p99 ms\nwithout", "\nwith", "\nratio", "\nconnections", "\n429", "\n503", "other\n5xx", "\ncut"),
    "CPU us\neach",
)
LEFT = ("\nattack", "\nseats", "\nopen files", "\nRSS", "back\nafter")


@dataclass(frozen=True, slots=True)
class Attacked:
    """What one attack meant"""

    mix: str
    without_ms: float  # the crowd's p99 just before
    with_ms: float
    seen: Seen
    states: tuple[State, State, State]  # before, at the attack's end, and after it
    back_s: float | None  # from its end until seats and files were as before; None: not in time
    cpu_s: float  # of all services for the attack: beyond what the crowd costs them

    @property
    def errors(self) -> int:
        """Answers of 5xx but 503"""
        return sum(count for status, count in self.seen.statuses.items() if status[0] == "5" and status != "503")


async def attacks(front: str, mixes: Sequence[str], repeats: int, settings: EdgeSettings) -> bool:
    """Prints a table. True: the crowd lost nothing, no answer was a 5xx but 503, and nothing was left behind. Raises
    what the system's start or the viewers' entry raises."""
    phases = 2 * len(mixes) * repeats
    rate, seconds = settings.crowd_rate, settings.seconds
    async with (
        an_edge_system(settings) as system,
        a_front(system, front, HASH) as entrance,
        viewers_of(CROWDED, settings.crowd, phases * _comments(settings)) as audience,
    ):
        await audience.connect(settings.crowd, entrance.stream_ports[0])
        crowd = Crowd(system, audience, settings)
        first = await system.state(entrance)
        found = [await _attack(mix, system, entrance, crowd, first) for _ in range(repeats) for mix in mixes]
        report = await crowd.report()
    where = "the services themselves" if front == DIRECT else f"{front}, by hash"
    about = f"{settings.crowd:,} viewers, {rate:g} comments/s, {seconds:g} s each, medians of {repeats}"
    console().print(
        table(f"strangers against {where}: {about}", NOTICED, _by_mix(found, noticed)),
        table("what all processes held before, during and after", LEFT, _by_mix(found, left)),
        f"the crowd: {report.deliveries:,} deliveries lost={report.lost} doubled={report.doubled} ended={report.ended}",
    )
    kept = not (report.lost or report.doubled or report.ended)
    return kept and not any(each.errors or each.back_s is None for each in found)


def _comments(settings: EdgeSettings) -> int:
    """of one phase"""
    return max(1, round(settings.crowd_rate * settings.seconds))


class Crowd:
    """Viewers who stay through all attacks, and what they get in each phase"""

    def __init__(self, system: EdgeSystem, audience: Audience, settings: EdgeSettings) -> None:
        self._system, self._audience, self.settings = system, audience, settings
        self._published = 0

    async def p99_ms(self) -> float:
        """Of the comments of one phase"""
        before, settings = await self.report(), self.settings
        schedule = Schedule(
            *(soon(FANOUT.lead_s), settings.crowd_rate, _comments(settings)), first=self._published, video=CROWDED
        )
        self._published += schedule.count
        await publish(self._system.publish, schedule)
        await self._audience.settle(schedule)
        return (await self.report()).since(before).percentile_ms(0.99)

    async def report(self) -> Report:
        return await self._audience.report(self._published)


async def _attack(mix: str, system: EdgeSystem, front: Front, crowd: Crowd, first: State) -> Attacked:
    """first: what the system held before any attack, and what it must come back to"""
    settings = crowd.settings
    calm_s, calm_cpu_s = time.monotonic(), system.cpu_s()
    without_ms = await crowd.p99_ms()
    crowd_share = (system.cpu_s() - calm_cpu_s) / (time.monotonic() - calm_s)
    before = await system.state(front)
    port = front.service_port if MIXES[mix].at_service else front.stream_ports[0]
    seconds = settings.calm_s + FANOUT.lead_s + settings.seconds + FANOUT.settle_s
    command = (sys.executable, "-P", "-m", "scripts.benches.attacker", mix)
    began_s, began_cpu_s = time.monotonic(), system.cpu_s()
    async with Child("attacker", (*command, str(settings.attack_share), str(port), str(seconds))) as attacker:
        await asyncio.sleep(settings.calm_s)
        with_ms = await crowd.p99_ms()
        seen = await attacker.answer(Seen, seconds + FANOUT.answer_timeout_s)
        cpu_s = system.cpu_s() - began_cpu_s - crowd_share * (time.monotonic() - began_s)
        during = await system.state(front)
    ended_s = time.monotonic()
    after = await system.state(front)
    while not (back := is_back(after, first, settings)) and time.monotonic() - ended_s < settings.back_s:
        await asyncio.sleep(settings.poll_s)
        after = await system.state(front)
    back_s = time.monotonic() - ended_s if back else None
    found = Attacked(mix, without_ms, with_ms, seen, (before, during, after), back_s, cpu_s)
    said = f"{ms(without_ms)} → {ms(with_ms)} ms, {seen.began:,} connections, {cpu_s:.2f} CPU s, {seen.statuses}"
    console(stderr=True).print(f"{MIXES[mix].what}: {said}", style="dim")
    return found


def is_back(now: State, first: State, settings: EdgeSettings) -> bool:
    return now.seats <= first.seats and now.files <= first.files + settings.files_spare


def _by_mix(found: Sequence[Attacked], row: Callable[[Sequence[Attacked]], list[Cell]]) -> list[list[Cell]]:
    mixes = dict.fromkeys(each.mix for each in found)
    return [[MIXES[mix].what, *row([each for each in found if each.mix == mix])] for mix in mixes]


def noticed(runs: Sequence[Attacked]) -> list[Cell]:
    """Of the runs of one mix: the medians of the crowd's p99s, and all answers that the attackers saw"""
    without_ms, with_ms = median(run.without_ms for run in runs), median(run.with_ms for run in runs)
    ratio = with_ms / without_ms if without_ms else 0.0
    statuses: Counter[str] = sum((Counter(run.seen.statuses) for run in runs), Counter())
    errors, began = sum(run.errors for run in runs), sum(run.seen.began for run in runs)
    return [
        *(ms(without_ms), ms(with_ms), Text(f"{ratio:.2f} ×", style="green" if ratio <= RATIO_MAX else "bold red")),
        *(f"{began:,}", f"{statuses['429']:,}", f"{statuses['503']:,}"),
        *(Text(f"{errors:,}", style="bold red" if errors else ""), f"{statuses['cut']:,}"),
        f"{sum(run.cpu_s for run in runs) / began * 1e6:,.0f}" if began else "",
    ]


def left(runs: Sequence[Attacked]) -> list[Cell]:
    """Of the runs of one mix: what the system held around the last one, and how long it took at most to be back"""
    seats, files, rss_bytes = zip(*runs[-1].states, strict=True)
    backs_s = [run.back_s for run in runs]
    longest = Text("not", style="bold red") if None in backs_s else f"{max(filter(None, backs_s), default=0):.1f} s"
    return [*(" ".join(map("{:,}".format, each)) for each in (seats, files)), " ".join(map(size, rss_bytes)), longest]
