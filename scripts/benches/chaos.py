"""scripts/bench chaos: the whole system under load, while a replica and a node are killed and stopped, one by one.

The checker is exact: every comment that an author got a 200 for, at every viewer of its video, once. Viewers are
clients as our documents ask for (scripts/sse_client.py): after a cut they go back to the original URL with their
position.
"""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from scripts.audience import Audience, Record, judge
from scripts.benches import procfs
from scripts.benches.authors import Authors
from scripts.benches.config import CHAOS, ChaosSettings
from scripts.benches.silence import longest_silence_s
from scripts.benches.stopping import run_stoppable
from scripts.config import SUPERVISOR
from scripts.plan import ROLES, Plan, free_ports, make_plan
from scripts.processes import NotReady, Process, Supervisor

MISSES_SHOWN = 20
"""lost and doubled comments that --json names: enough to see a pattern"""


class Fault(NamedTuple):
    what: str
    role: str  # dispatcher: the replica that is published to; rms: the node with the most viewers
    how: signal.Signals
    reach_ms: float | None  # the longest silence on healthy nodes that the issue allows


NO_FAULT = Fault("no fault", "", signal.SIGCONT, None)
FAULTS = (
    Fault("kill -9 of a replica", "dispatcher", signal.SIGKILL, 1_000),
    Fault("kill -9 of an RMS", "rms", signal.SIGKILL, 1_000),
    Fault("SIGSTOP of a replica, 5 s", "dispatcher", signal.SIGSTOP, 3_000),
    Fault("SIGSTOP of an RMS, 5 s", "rms", signal.SIGSTOP, 3_000),
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for on the command line."""

    rate: float = 2_000.0  # comments/s over all videos
    seconds: float = 60.0
    videos: int = 20
    viewers: int = 80  # of all videos together
    store: str = "sqlite"
    json: Path | None = None
    logs: Path | None = None


class Silence(msgspec.Struct, frozen=True):
    """What one fault meant to viewers. Milliseconds."""

    fault: str
    victim: str
    healthy_ms: float  # the longest silence of any viewer on another node
    healthy_median_ms: float  # the median of these viewers' longest silences
    victims_ms: float  # the longest one of those who were on the faulty node
    victims: int
    reach_ms: float | None


class Miss(msgspec.Struct, frozen=True):
    """A comment that a viewer didn't get, or got twice."""

    video: str
    viewer: int
    comment_id: str
    due_s: float  # since the first post
    lost: bool


class Outcome(msgspec.Struct):
    machine: procfs.Machine
    acknowledged: int
    deliveries: int
    lost: int
    doubled: int
    disordered: int
    errors: dict[str, int]  # what authors got in place of a 200
    longest_post_ms: float
    reconnects: int
    complaints: int  # log lines of the level error, or a traceback
    silences: list[Silence]
    misses: list[Miss]

    @property
    def kept(self) -> bool:
        """Nothing lost, nothing doubled, no author refused"""
        return not (self.lost or self.doubled or self.errors or self.complaints)


class Chaos:
    def __init__(self, wishes: Wishes, settings: ChaosSettings, faults: Sequence[Fault] = FAULTS) -> None:
        self._wishes = wishes
        self._settings = settings
        self._faults = (NO_FAULT, *faults)
        self._videos = [f"chaos-{number}" for number in range(wishes.videos)]
        self._audiences: list[Audience] = []
        self._seen: list[tuple[Fault, str, list[str], float]] = []  # fault, victim, where each viewer was, since when
        self._log: list[str] = []

    async def run(self) -> Outcome:
        """Raises NotReady, aiohttp.ClientError, TimeoutError; all that was started is ended."""
        wishes, settings = self._wishes, self._settings
        async with self._services() as (plan, processes), self._watching(plan.base_url):
            authors = Authors(int(plan.base_url.rpartition(":")[2]), self._videos, settings.connections)
            start_s = time.monotonic()
            posting = asyncio.create_task(authors.post(wishes.rate, wishes.seconds, settings.answer_timeout_s))
            try:
                for number, fault in enumerate(self._faults):
                    at_s = start_s + wishes.seconds * number / len(self._faults)
                    await asyncio.sleep(at_s - time.monotonic())
                    await self._strike(fault, plan, processes)
                await posting
                end_s = time.monotonic()
                await self._settled(authors)
            finally:
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)
            return self._outcome(authors, start_s, end_s)

    async def _strike(self, fault: Fault, plan: Plan, processes: Sequence[Process]) -> None:
        """A killed process is started again by its supervisor; a stopped one goes on after some seconds."""
        whereabouts = [server for audience in self._audiences for server in audience.servers]
        name = await self._victim(fault, plan, whereabouts)
        address = next((part.address for part in plan[fault.role] if part.name == name), "") if name else ""
        self._seen.append((fault, address, whereabouts, time.monotonic()))
        for process in processes:
            if process.name == name:
                process.signal(fault.how)
                if fault.how is signal.SIGSTOP:
                    await asyncio.sleep(self._settings.stop_s)
                    process.signal(signal.SIGCONT)

    async def _victim(self, fault: Fault, plan: Plan, whereabouts: Sequence[str]) -> str:
        if not fault.role:
            return ""
        if fault.role == "rms":
            address = Counter(whereabouts).most_common(1)[0][0]
        else:
            async with aiohttp.ClientSession() as session, session.get(f"{plan.base_url}/health") as health:
                address = (await health.json())["publisher"]["connected"]
        return next(part.name for part in plan[fault.role] if part.address == address)

    async def _settled(self, authors: Authors) -> None:
        async with asyncio.TaskGroup() as group:
            for video, audience in zip(self._videos, self._audiences, strict=True):
                group.create_task(audience.wait_for(set(authors.due_at_s[video]), self._settings.settle_s))
        await asyncio.sleep(self._settings.doubles_s)

    # Processes and viewers

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[tuple[Plan, list[Process]]]:
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="bench-chaos-") as folder:
            store = self._wishes.store
            plan = make_plan(
                dispatchers=settings.replicas,
                rms=settings.nodes,
                store=f"sqlite:{Path(folder) / 'comments.db'}" if store == "sqlite" else store,
                data=Path(folder),
                ports=free_ports(settings.replicas + settings.nodes + 1),
                log_format="json",
                more_flags=lambda role: self._flags(role),
            )
            supervision = replace(SUPERVISOR, restart_first_s=settings.restart_s)
            groups = [
                [Process(part.name, part.command, is_ready=part.is_ready, on_output=self._note) for part in plan[role]]
                for role in ROLES
            ]
            supervisor = Supervisor(groups, restart=True, say=self._note, settings=supervision)
            try:
                await supervisor.start()
                yield plan, supervisor.processes
            finally:
                await supervisor.stop()
                if self._wishes.logs:
                    self._wishes.logs.write_text("\n".join(self._log) + "\n")

    def _flags(self, role: str) -> Sequence[str]:
        """Each video's viewers are spread over two nodes: who sees what on one can be told from the other."""
        watching = -(-self._wishes.viewers // self._wishes.videos)
        return ("--spill-viewers", str(max(1, watching // 2))) if role == "dispatcher" else ()

    @asynccontextmanager
    async def _watching(self, base_url: str) -> AsyncIterator[None]:
        viewers, videos = self._wishes.viewers, len(self._videos)
        async with AsyncExitStack() as stack:
            for number, video in enumerate(self._videos):
                count = viewers // videos + (number < viewers % videos)
                audience = Audience(f"{base_url}/comments/{video}", count)
                await stack.enter_async_context(audience.watching(self._settings.connect_timeout_s))
                self._audiences.append(audience)
            yield

    def _note(self, name: str, line: str) -> None:
        self._log.append(f"{time.monotonic():.3f} {name} {line}")

    # The verdict

    def _outcome(self, authors: Authors, start_s: float, end_s: float) -> Outcome:
        pairs = [
            (audience, authors.due_at_s[video]) for video, audience in zip(self._videos, self._audiences, strict=True)
        ]
        verdicts = [judge(audience.records, due_at_s) for audience, due_at_s in pairs]
        ends = [seen[3] for seen in self._seen[1:]] + [end_s]
        return Outcome(
            machine=procfs.machine(),
            acknowledged=authors.acknowledged,
            deliveries=sum(len(due_at_s) * len(audience.records) for audience, due_at_s in pairs),
            lost=sum(verdict.lost for verdict in verdicts),
            doubled=sum(verdict.doubled for verdict in verdicts),
            disordered=sum(verdict.disordered for verdict in verdicts),
            errors=dict(authors.errors),
            longest_post_ms=authors.longest_ms,
            reconnects=sum(audience.reconnects for audience in self._audiences),
            complaints=sum(map(_is_complaint, self._log)),
            silences=[self._silence(*seen, to_s) for seen, to_s in zip(self._seen, ends, strict=True)],
            misses=self._misses(authors, start_s),
        )

    def _silence(self, fault: Fault, victim: str, whereabouts: list[str], from_s: float, to_s: float) -> Silence:
        healthy: list[float] = []
        victims: list[float] = []
        for record, server in zip(self._records(), whereabouts, strict=True):
            silence_ms = longest_silence_s(list(record.read_at_s.values()), from_s, to_s) * 1000
            (victims if server == victim else healthy).append(silence_ms)
        healthy.sort()
        median_ms = healthy[len(healthy) // 2] if healthy else 0.0
        worst = max(healthy, default=0.0), median_ms, max(victims, default=0.0)
        return Silence(fault.what, victim, *worst, len(victims), fault.reach_ms)

    def _records(self) -> list[Record]:
        return [record for audience in self._audiences for record in audience.records]

    def _misses(self, authors: Authors, start_s: float) -> list[Miss]:
        misses = []
        for video, audience in zip(self._videos, self._audiences, strict=True):
            due_at_s = authors.due_at_s[video]
            for viewer, record in enumerate(audience.records):
                lost = [(comment_id, True) for comment_id in due_at_s if comment_id not in record.read_at_s]
                doubled = [(comment_id, False) for comment_id in record.repeated if comment_id in due_at_s]
                misses += [
                    Miss(video, viewer, comment_id, round(due_at_s[comment_id] - start_s, 3), is_lost)
                    for comment_id, is_lost in (*lost, *doubled)
                ]
        return misses[:MISSES_SHOWN]


def _is_complaint(line: str) -> bool:
    try:
        return bool(json.loads(line.split(" ", 2)[2])["level"] in ("error", "critical"))
    except (ValueError, KeyError, TypeError, IndexError):
        return "Traceback" in line


def chaos(wishes: Wishes, settings: ChaosSettings = CHAOS) -> int:
    """The exit code: 1 if a comment was lost or doubled, an author refused, or a service complained of itself."""
    try:
        outcome = run_stoppable(Chaos(wishes, settings).run())
    except (NotReady, TimeoutError, aiohttp.ClientError, OSError) as error:
        print(f"bench: {error!r}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; all that it started is ended", file=sys.stderr)
        return 130
    show(outcome, Console(highlight=False, soft_wrap=True))
    if wishes.json:
        wishes.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
    return 0 if outcome.kept else 1


def show(outcome: Outcome, console: Console) -> None:
    table = Table(title=str(outcome.machine), title_justify="left", box=None)
    table.add_column("fault")
    for column in ("healthy nodes: longest silence", "median", "reach", "on the faulty node", "viewers there"):
        table.add_column(column, justify="right")
    for each in outcome.silences:
        reach = f"{each.reach_ms:.0f} ms" if each.reach_ms else ""
        victims = (f"{each.victims_ms:.0f} ms", str(each.victims)) if each.victims else ("", "")
        table.add_row(each.fault, f"{each.healthy_ms:.0f} ms", f"{each.healthy_median_ms:.0f} ms", reach, *victims)
    errors = " ".join(f"{what!r}:{count}" for what, count in outcome.errors.items()) or "none"
    console.print(table)
    console.print(
        f"acknowledged={outcome.acknowledged} deliveries={outcome.deliveries} lost={outcome.lost} "
        f"doubled={outcome.doubled} disordered={outcome.disordered} reconnects={outcome.reconnects}"
    )
    console.print(
        f"errors to authors: {errors}; longest post {outcome.longest_post_ms:.0f} ms; "
        f"errors in the services' logs: {outcome.complaints}"
    )
