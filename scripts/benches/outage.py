"""scripts/bench outage: Cassandra away, comment_service killed meanwhile; or one of three Cassandra nodes killed.

The whole system runs as real processes. Afterwards the driver reads all of Cassandra back: every comment for which an
author had a 200 must be there with its text, and must have come to every viewer of its video once.
"""

import asyncio
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from history.core.ids import parse_id
from scripts.audience import Audience, judge
from scripts.benches import procfs
from scripts.benches.outage_authors import Authors, longest_pause_s, longest_wait_s
from scripts.benches.outage_cluster import BenchCluster, NodeNotUp, Stored
from scripts.benches.outage_config import OUTAGE, PAUSE_REACH_S, OutageSettings
from scripts.benches.stopping import run_stoppable
from scripts.plan import ROLES, Part, Plan, free_ports, make_plan
from scripts.processes import NotReady, Process, Supervisor

FAULTS = {"kill": "kill -9", "hang": "SIGSTOP", "node": "kill -9 of 1 of 3"}
"""What happens to Cassandra"""

COMMENT_SERVICE = "comment-service"
LISTENING = '"comment_service listening"'
COMPLAINTS_SHOWN = 5
UNDRAINED = re.compile(rb"^comment_service_(?:spool_comments|store_away|catching_up) [^0]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for on the command line."""

    faults: Sequence[str] = ("kill", "hang")
    rate: float = 500.0
    seconds: float = 30.0
    viewers: int = 30
    repeats: int = 1
    json: Path | None = None
    logs: Path | None = None


class Outcome(msgspec.Struct):
    """Of one run. `lost` and `doubled` count over all viewers."""

    fault: str
    rate: float
    away_s: float  # from the fault until Cassandra answered again
    acknowledged: int
    not_stored: int  # acknowledged, and not in Cassandra, or with another text
    unanswered: int  # stored, and nobody had a 200 for it: its post was cut
    cut: int
    lost: int
    doubled: int
    errors: dict[str, int]
    longest_pause_s: float
    longest_wait_s: float
    down_s: float  # comment_service, from kill -9 until it listened again
    drained_s: float  # from Cassandra's answer until the spool was empty and all nodes had read
    complaints: list[str]  # log lines of the level error, and tracebacks

    @property
    def kept(self) -> bool:
        unexplained = max(0, self.unanswered - self.cut)
        broken = self.not_stored + self.lost + self.doubled + unexplained + len(self.complaints) + len(self.errors)
        return not broken and self.longest_pause_s <= PAUSE_REACH_S


class Run:
    """One system, one fault."""

    def __init__(self, fault: str, wishes: Wishes, settings: OutageSettings, victim: int = 1) -> None:
        """victim: which Cassandra node, counted from 1"""
        self._fault = fault
        self._wishes = wishes
        self._settings = settings
        self._victim = victim
        self._videos = [f"outage-{number}" for number in range(settings.videos)]
        self._authors: Authors
        self._up_s = 0.0
        self.log: list[str] = []

    async def run(self) -> Outcome:
        """Raises NodeNotUp, NotReady, aiohttp.ClientError, TimeoutError; all that was started is ended."""
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(BenchCluster(3 if self._fault == "node" else 1))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-outage-")))
            plan = self._plan(cluster.url, folder)
            self._authors = Authors(plan.base_url, self._videos, self._settings)
            service = await stack.enter_async_context(self._services(plan))
            audiences = await stack.enter_async_context(self._watching(plan.base_url))
            enough = asyncio.Event()
            posting = asyncio.create_task(self._authors.post(self._wishes.rate, enough))
            try:
                await asyncio.sleep(self._settings.warm_s)
                times = await self._break(cluster, service, plan)
                await asyncio.sleep(self._settings.after_s)
            finally:
                enough.set()
                await asyncio.gather(posting, return_exceptions=True)
            posting.result()
            await self._drained(plan, self._settings.drained_s)
            await self._settled(audiences)
            return self._outcome(audiences, await cluster.stored(), *times)

    async def _break(self, cluster: BenchCluster, service: Process, plan: Plan) -> tuple[float, float, float]:
        """Seconds: how long Cassandra was away, comment_service was down, and the drain took."""
        half_s = self._wishes.seconds / 2
        how = signal.SIGSTOP if self._fault == "hang" else signal.SIGKILL
        await cluster.signal(self._victim, how)
        broken_s = time.monotonic()
        await asyncio.sleep(half_s)
        if self._fault == "node":
            await asyncio.sleep(half_s)
            return time.monotonic() - broken_s, 0.0, 0.0
        service.signal(signal.SIGKILL)
        killed_s = time.monotonic()
        self._authors.gone(killed_s)
        await asyncio.sleep(half_s)
        if how is signal.SIGSTOP:
            await cluster.signal(self._victim, signal.SIGCONT)
        else:
            await cluster.start_again(self._victim)
        back_s = time.monotonic()
        await self._drained(plan, self._settings.drained_s)
        return back_s - broken_s, self._up_s - killed_s, time.monotonic() - back_s

    async def _drained(self, plan: Plan, timeout_s: float) -> None:
        """The spool is empty, and the nodes have been told to read. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{plan.base_url}/metrics") as answer:
                        if not UNDRAINED.search(await answer.read()):
                            return
                except aiohttp.ClientError:
                    pass  # it is just being started
                await asyncio.sleep(self._settings.poll_s)

    async def _settled(self, audiences: Sequence[Audience]) -> None:
        async with asyncio.TaskGroup() as group:
            for video, audience in zip(self._videos, audiences, strict=True):
                group.create_task(audience.wait_for(set(self._due_at_s(video)), self._settings.settle_s))
        await asyncio.sleep(self._settings.doubles_s)

    # Processes and viewers

    def _plan(self, store: str, folder: Path) -> Plan:
        return make_plan(dispatchers=2, rms=2, store=store, data=folder, ports=free_ports(5), log_format="json")

    @asynccontextmanager
    async def _services(self, plan: Plan) -> AsyncIterator[Process]:
        """All are ready; the comment_service, which is started again after a kill."""
        groups = [[self._process(part) for part in plan[role]] for role in ROLES]
        supervisor = Supervisor(groups, restart=True, say=self._note)
        try:
            await supervisor.start()
            yield next(process for process in supervisor.processes if process.name.startswith(COMMENT_SERVICE))
        finally:
            await supervisor.stop()

    def _process(self, part: Part) -> Process:
        return Process(part.name, part.command, is_ready=part.is_ready, on_output=self._note)

    def _note(self, name: str, line: str) -> None:
        self.log.append(f"{time.monotonic():.3f} {name}: {line}")
        if name.startswith(COMMENT_SERVICE) and LISTENING in line:
            self._up_s = time.monotonic()
            self._authors.up_since(self._up_s)

    @asynccontextmanager
    async def _watching(self, base_url: str) -> AsyncIterator[list[Audience]]:
        """An audience for each video"""
        each = max(1, self._wishes.viewers // len(self._videos))
        audiences = [Audience(f"{base_url}/comments/{video}", each) for video in self._videos]
        async with AsyncExitStack() as stack:
            for audience in audiences:
                await stack.enter_async_context(audience.watching(self._settings.connect_timeout_s))
            yield audiences

    # The verdict

    def _due_at_s(self, video: str) -> dict[str, float]:
        comments = self._authors.tally.acknowledged.items()
        return {comment_id: each.due_s for comment_id, each in comments if each.video_id == video}

    def _outcome(
        self, audiences: Sequence[Audience], stored: dict[int, Stored], away_s: float, down_s: float, drained_s: float
    ) -> Outcome:
        tally = self._authors.tally
        expected = {parse_id(name): Stored(each.video_id, each.message) for name, each in tally.acknowledged.items()}
        verdicts = [
            judge(audience.records, self._due_at_s(video))
            for video, audience in zip(self._videos, audiences, strict=True)
        ]
        return Outcome(
            fault=self._fault,
            rate=self._wishes.rate,
            away_s=away_s,
            acknowledged=len(expected),
            not_stored=sum(stored.get(comment_id) != comment for comment_id, comment in expected.items()),
            unanswered=len(stored.keys() - expected.keys()),
            cut=tally.cut,
            lost=sum(verdict.lost for verdict in verdicts),
            doubled=sum(verdict.doubled for verdict in verdicts),
            errors=dict(tally.errors),
            longest_pause_s=longest_pause_s(tally),
            longest_wait_s=longest_wait_s(tally),
            down_s=down_s,
            drained_s=drained_s,
            complaints=[line for line in self.log if '"level":"error"' in line.replace(" ", "") or "Traceback" in line],
        )


def outage(wishes: Wishes, settings: OutageSettings = OUTAGE) -> int:
    """The exit code: 1 if a promise was broken. Ctrl-C ends all processes first."""
    outcomes: list[Outcome] = []
    try:
        for number in range(wishes.repeats):
            for fault in wishes.faults:
                run = Run(fault, wishes, settings, victim=number % 3 + 1 if fault == "node" else 1)
                try:
                    outcomes.append(run_stoppable(run.run()))
                finally:
                    if wishes.logs:
                        wishes.logs.write_text("\n".join(run.log) + "\n")
    except (NodeNotUp, NotReady, aiohttp.ClientError, TimeoutError, OSError) as error:
        print(f"bench: {error!r}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; all that it started is ended", file=sys.stderr)
        return 130
    show(outcomes, wishes)
    if wishes.json:
        wishes.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcomes)) + b"\n")
    return 0 if all(outcome.kept for outcome in outcomes) else 1


def show(outcomes: Sequence[Outcome], wishes: Wishes) -> None:
    console = Console(highlight=False, soft_wrap=True)
    title = f"{wishes.rate:g} comments/s, {wishes.viewers} viewers, {wishes.seconds:g} s"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("\nCassandra", no_wrap=True)
    for column in ("\n200s", "not\nstored", "\nlost", "\ndoubled", "\nerrors", "pause\ns", "wait\ns", "drained\ns"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in outcomes:
        counts = (each.acknowledged, each.not_stored, each.lost, each.doubled, sum(each.errors.values()))
        times = (each.longest_pause_s, each.longest_wait_s, each.drained_s)
        table.add_row(FAULTS[each.fault], *(f"{count:,}" for count in counts), *(f"{value:.2f}" for value in times))
    console.print(table)
    for each in outcomes:
        console.print(
            f"{FAULTS[each.fault]}: away {each.away_s:.1f} s, comment_service down {each.down_s:.1f} s, "
            f"posts cut {each.cut}, stored without an answer {each.unanswered}: {'kept' if each.kept else 'BROKEN'}"
        )
        for line in each.complaints[:COMPLAINTS_SHOWN]:
            console.print(line, markup=False)
    console.print("reach: nothing lost, doubled or not stored, no errors, no pause over 1 s while the process was up")
    console.print(str(procfs.machine()))
