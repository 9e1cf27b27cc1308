"""scripts/bench million: a million real viewers on one machine, placed by the dispatchers, and then some comments."""

import asyncio
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import msgspec
from rich.console import Console
from rich.table import Table

from history.opening import open_store
from scripts.benches import procfs
from scripts.benches.building import CannotBuild
from scripts.benches.config import CHILDREN, MILLION, MillionSettings
from scripts.benches.contender import pid_of
from scripts.benches.placing import NoRoom, Placing
from scripts.benches.publishing import publish_grpc
from scripts.benches.schedule import VIDEO, Schedule
from scripts.benches.stopping import run_stoppable
from scripts.benches.table import size
from scripts.benches.viewers import Generator, GeneratorFailed, Report, merge
from scripts.plan import Plan, free_ports, make_plan
from scripts.processes import NotReady, Process, Supervisor

DISPATCHERS = 2


class TooLittleMemory(Exception):
    """So many viewers don't fit on this machine; the message says how many do."""


class Phase(msgspec.Struct, frozen=True):
    """A part of the run, and what the machine had given away at its end."""

    name: str
    seconds: float
    used_bytes: int  # of the machine's memory since the beginning: processes and the kernel's sockets
    note: str = ""


class Million(msgspec.Struct):
    """What --json writes."""

    machine: procfs.Machine
    viewers: int
    nodes: int
    phases: list[Phase]
    viewers_by_node: dict[str, int]
    rms_rss_bytes: int = 0  # of all RMS processes together
    viewers_rss_bytes: int = 0  # of the load generators
    refused: int = 0  # viewers who came to a node that was full by then, and were placed again
    report: Report | None = None


class Run:
    def __init__(self, viewers: int, comments: int, say: Callable[[str], object], settings: MillionSettings) -> None:
        self._viewers = viewers
        self._comments = comments
        self._say = say
        self._settings = settings
        self._nodes = math.ceil(viewers / settings.capacity * (1 + settings.spare_nodes))
        self._available = procfs.available_bytes()
        self.result = Million(procfs.machine(), viewers, self._nodes, [], {})
        self._since = time.monotonic()

    async def run(self) -> Million:
        """Raises TooLittleMemory, NoRoom, NotReady, GeneratorFailed, grpc.RpcError; all that was started is ended."""
        self._check_memory()
        async with self._services() as (plan, processes), self._generators() as generators:
            self._phase("start", f"{DISPATCHERS} dispatchers, {self._nodes} RMS, {len(generators)} viewers' processes")
            replicas = [part.address for part in plan["dispatcher"]]
            placing = Placing(self._viewers, generators, self._settings)
            await placing.connect_all(replicas)
            self.result.refused, self.result.viewers_by_node = placing.refused, placing.viewers_by_node
            self._phase("connect", f"{self._viewers / (time.monotonic() - self._since):,.0f} handshakes/s")
            for number in range(self._comments):
                await self._comment(number, replicas[number % len(replicas)], generators)
            nodes = [pid_of(process) for process in processes if process.name.startswith("rms")]
            self.result.rms_rss_bytes = sum(map(procfs.rss_bytes, nodes))
            self.result.viewers_rss_bytes = sum(procfs.rss_bytes(generator.pid) for generator in generators)
            reports = await asyncio.gather(*(generator.report(self._comments) for generator in generators))
            self.result.report = merge(reports)
            self._since = time.monotonic()
        self._phase("end")
        return self.result

    def _check_memory(self) -> None:
        needed = self._viewers * self._settings.bytes_a_viewer
        if self._available < needed:
            raise TooLittleMemory(
                f"{self._viewers:,} viewers need about {size(needed)}, and {size(self._available)} are free; "
                f"{int(self._available / self._settings.bytes_a_viewer):,} would fit: --viewers"
            )

    def _phase(self, name: str, note: str = "") -> None:
        now = time.monotonic()
        used = max(0, self._available - procfs.available_bytes())  # others on the machine may have ended meanwhile
        phase = Phase(name, now - self._since, used, note)
        self.result.phases.append(phase)
        self._say(f"{name}: {phase.seconds:.1f} s, {size(used)} in use{', ' if note else ''}{note}")
        self._since = now

    # Processes

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[tuple[Plan, list[Process]]]:
        """Dispatchers first, then the nodes, a few at a time."""
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="bench-million-") as folder:
            store = f"sqlite:{Path(folder) / 'comments.db'}"
            await (await open_store(store)).close()
            plan = make_plan(
                dispatchers=DISPATCHERS,
                rms=self._nodes,
                comment_services=0,
                store=store,
                data=Path(folder),
                ports=free_ports(DISPATCHERS + self._nodes),
                log_format="json",
                more_flags=lambda role: _node_flags(settings) if role == "rms" else (),
            )
            processes = [
                Process(part.name, part.command, is_ready=part.is_ready, on_output=_ignore, settings=CHILDREN)
                for role in ("dispatcher", "rms")
                for part in plan[role]
            ]
            together = settings.start_together
            groups = [processes[:DISPATCHERS]]
            groups += [processes[i : i + together] for i in range(DISPATCHERS, len(processes), together)]
            supervisor = Supervisor(groups, restart=False, say=_ignore, settings=CHILDREN)
            try:
                await supervisor.start()
                yield plan, processes
            finally:
                await supervisor.stop()

    @asynccontextmanager
    async def _generators(self) -> AsyncIterator[list[Generator]]:
        count = math.ceil(self._viewers / self._settings.capacity)
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(Generator(number, f"/comments/{VIDEO}", self._comments))
                for number in range(count)
            ]

    async def _comment(self, number: int, replica: str, generators: Sequence[Generator]) -> None:
        await publish_grpc(replica, Schedule(time.monotonic_ns(), rate=1, count=1, first=number))
        timeout_s = self._settings.comment_timeout_s
        complete = await asyncio.gather(*(generator.wait_for(number + 1, timeout_s) for generator in generators))
        outcome = "everybody has it" if all(complete) else f"not everybody had it after {timeout_s:.0f} s"
        self._phase(f"comment {number + 1}", outcome)


def _node_flags(settings: MillionSettings) -> Sequence[str]:
    return (
        *("--capacity", str(settings.capacity), "--heartbeat-ms", str(settings.heartbeat_ms)),
        *("--count-sends-per-s", str(settings.count_sends_per_s)),
    )


def _ignore(name: str, line: str) -> None:
    """The services' logs: what matters of them is in the figures."""


def million(viewers: int, comments: int, json: Path | None, settings: MillionSettings = MILLION) -> int:
    """The exit code: 1 if a comment was lost or doubled, or there was no room. Ctrl-C ends all processes first."""
    say = Console(stderr=True, highlight=False, soft_wrap=True).print
    run = Run(viewers, comments, say, settings)
    try:
        result = run_stoppable(run.run())
    except (TooLittleMemory, NoRoom, NotReady, GeneratorFailed, CannotBuild, grpc.RpcError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; all that it started is ended", file=sys.stderr)
        return 130
    show(result, Console(highlight=False, soft_wrap=True))
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    assert result.report
    return 1 if result.report.lost or result.report.doubled else 0


def show(result: Million, console: Console) -> None:
    report = result.report
    assert report
    console.print(_phases_table(result))
    nodes = result.viewers_by_node.values()
    console.print(
        f"viewers={report.viewers} nodes={len(nodes)} deliveries={report.deliveries} lost={report.lost} "
        f"doubled={report.doubled} disordered={report.disordered} ended={report.ended} refused={result.refused}"
    )
    console.print(f"viewers of a node: {min(nodes, default=0):,} to {max(nodes, default=0):,}")
    console.print(
        f"memory: RMS processes {size(result.rms_rss_bytes)}, viewers' processes {size(result.viewers_rss_bytes)}, "
        f"all with the kernel's sockets {size(max(phase.used_bytes for phase in result.phases))}"
    )
    console.print(str(result.machine))


def _phases_table(result: Million) -> Table:
    table = Table(title=f"{result.viewers:,} viewers of one video", title_justify="left", title_style="bold", box=None)
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    table.add_column("in use", justify="right")
    table.add_column()
    for phase in result.phases:
        table.add_row(phase.name, f"{phase.seconds:.1f}", size(phase.used_bytes), phase.note)
    return table
