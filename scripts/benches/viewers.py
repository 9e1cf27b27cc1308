"""Processes of viewers.c: started, told to connect, asked what their viewers got."""

import asyncio
import contextlib
import ipaddress
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from scripts.benches.building import build
from scripts.benches.config import BENCH, BenchSettings
from scripts.processes import ROOT

T = TypeVar("T")

_TETHER = str(ROOT / "scripts" / "tether.py")
_FIRST_SOURCE = ipaddress.IPv4Address("127.1.0.1")
_SOURCES_EACH = 16  # addresses for one process: it takes one for every 10,000 of its viewers
_ANSWER_BYTES_MAX = 8 << 20


class GeneratorFailed(Exception):
    """A process of viewers has ended, or does not answer."""


class Timeline(msgspec.Struct, frozen=True):
    """Deliveries in each step of time; the first step begins at `start_ns` of CLOCK_MONOTONIC."""

    start_ns: int
    step_ms: int
    deliveries: list[int]

    def until(self, end_ns: int) -> int:
        """Deliveries in the steps that were over at `end_ns`, rounded to the nearest step"""
        steps = round((end_ns - self.start_ns) / (self.step_ms * 1_000_000))
        return sum(self.deliveries[: max(0, steps)])


class Report(msgspec.Struct, frozen=True):
    """What some viewers got. Times are in the units that the names say; latencies are (us, deliveries) pairs."""

    viewers: int  # that read
    idle: int  # that never read
    ended: int  # whose stream has ended, though nobody asked for it
    deliveries: int
    lost: int
    viewers_with_loss: int
    doubled: int
    disordered: int
    unmarked: int  # comments of others: a backfill
    gaps: int  # events by which the server admits a loss
    named: int  # other named events
    bytes: int
    last_ns: int
    max_us: int
    cpu_s: float
    latency_us: list[tuple[int, int]]
    timeline: Timeline

    def percentile_ms(self, share: float) -> float:
        """The latency that this share of the deliveries didn't exceed (to 2 %); 0 without deliveries"""
        wanted, so_far = share * self.deliveries, 0
        for us, count in self.latency_us:
            so_far += count
            if so_far >= wanted:
                return min(us, self.max_us) / 1000
        return 0.0


class Connected(msgspec.Struct, frozen=True):
    connected: int
    refused: int
    reason: str
    seconds: float
    cpu_s: float


class Awaited(msgspec.Struct, frozen=True):
    complete: bool
    seconds: float


def merge(reports: Sequence[Report]) -> Report:
    """What all viewers of several processes got. At least one report."""
    latency: Counter[int] = Counter()
    for report in reports:
        for us, count in report.latency_us:
            latency[us] += count
    totals: dict[str, Any] = {
        name: sum(getattr(report, name) for report in reports)
        for name in Report.__struct_fields__
        if name not in ("latency_us", "timeline", "last_ns", "max_us")
    }
    return Report(
        **totals,
        last_ns=max(report.last_ns for report in reports),
        max_us=max(report.max_us for report in reports),
        latency_us=sorted(latency.items()),
        timeline=_merge_timelines([report.timeline for report in reports if report.timeline.deliveries]),
    )


def _merge_timelines(timelines: Sequence[Timeline]) -> Timeline:
    """Each process's steps begin at its own time: they are moved by less than half a step to fit together."""
    if not timelines:
        return Timeline(0, 1, [])
    start_ns, step_ms = min(timeline.start_ns for timeline in timelines), timelines[0].step_ms
    steps: Counter[int] = Counter()
    for timeline in timelines:
        first = round((timeline.start_ns - start_ns) / (step_ms * 1_000_000))
        for index, count in enumerate(timeline.deliveries):
            steps[first + index] += count
    return Timeline(start_ns, step_ms, [steps[index] for index in range(max(steps) + 1)])


class Generator:
    """One process of viewers. Orders are given one at a time; each method raises GeneratorFailed."""

    def __init__(
        self, number: int, path: str, comments_max: int, *, gzip: bool = False, settings: BenchSettings = BENCH
    ) -> None:
        """number: of this process, which gives it source addresses of its own. comments_max: numbers that may come."""
        source = _FIRST_SOURCE + number * _SOURCES_EACH
        self._settings = settings
        self._flags = (
            *("--path", path, "--source", str(source), "--comments", str(comments_max)),
            *("--in-flight", str(settings.in_flight), "--receive-bytes", str(settings.receive_bytes)),
            *(("--gzip",) if gzip else ()),
        )
        self._program: Path = build("viewers", gzip=gzip)
        self._child: asyncio.subprocess.Process
        self._turn = asyncio.Lock()
        self.viewers = 0  # connected and reading

    @property
    def pid(self) -> int:
        return self._child.pid

    async def __aenter__(self) -> Self:
        self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-E", _TETHER, str(os.getpid()), str(self._program), *self._flags),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_ANSWER_BYTES_MAX,
            start_new_session=True,  # Ctrl-C in the terminal is for us
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Its connections end with it."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()

    async def connect(self, count: int, port: int) -> Connected:
        """Returns when each of `count` viewers has its stream, or was refused."""
        answer = await self._order(f"connect {count} {port}", self._settings.connect_timeout_s, Connected)
        self.viewers += answer.connected
        return answer

    async def idle(self, count: int, port: int) -> Connected:
        """Viewers who ask for the stream and never read"""
        return await self._order(f"idle {count} {port}", self._settings.connect_timeout_s, Connected)

    async def wait_for(self, comments: int, timeout_s: float) -> bool:
        """True: every reading viewer has the first `comments` comments. False: not in this time."""
        answer = await self._order(f"await {comments} {int(timeout_s * 1000)}", timeout_s + 30, Awaited)
        return answer.complete

    async def report(self, comments: int) -> Report:
        """All that was counted so far; `lost` against the first `comments` comments"""
        return await self._order(f"report {comments}", 30, Report)

    async def _order(self, line: str, timeout_s: float, kind: type[T]) -> T:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin
        assert stdout
        async with self._turn:
            try:
                stdin.write(f"{line}\n".encode())
                await stdin.drain()
                answer = await asyncio.wait_for(stdout.readline(), timeout_s)
            except (ConnectionError, TimeoutError) as error:
                raise GeneratorFailed(f"viewers did not answer {line!r}") from error
        if not answer:
            raise GeneratorFailed(f"viewers ended at {line!r}")
        return msgspec.json.decode(answer, type=kind)
