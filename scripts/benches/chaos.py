"""scripts/bench chaos: kills and stops a replica and a node of the whole system, one by one, under load.

The checker is exact: every comment that an author got a 200 for, at every viewer of its video, once.
"""

import asyncio
import signal
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import aiohttp

from proto.replicas import replica_numbers
from scripts.benches import procfs
from scripts.benches.config import FAULTS, FaultSettings
from scripts.benches.running import ungrouped
from scripts.benches.system import Outcome, System, a_system
from scripts.benches.table import console, table
from scripts.config import SUPERVISOR
from scripts.plan import free_ports, make_plan, ports_of


class Fault(NamedTuple):
    what: str
    role: str  # dispatcher: the replica that is published to; rms: the node with the most viewers; empty: nobody
    how: signal.Signals
    reach_ms: float | None  # the longest silence on healthy nodes that is allowed


NO_FAULT = Fault("no fault", "", signal.SIGCONT, None)
BREAKS = (
    Fault("kill -9 of a replica", "dispatcher", signal.SIGKILL, 1_000),
    Fault("kill -9 of an RMS", "rms", signal.SIGKILL, 1_000),
    Fault("SIGSTOP of a replica, 5 s", "dispatcher", signal.SIGSTOP, 3_000),
    Fault("SIGSTOP of an RMS, 5 s", "rms", signal.SIGSTOP, 3_000),
)


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for on the command line"""

    rate: float = 2_000.0  # comments/s over all videos
    seconds: float = 60.0
    videos: int = 20
    viewers: int = 80  # of all videos together


class Struck(NamedTuple):
    fault: Fault
    at_s: float  # monotonic
    victim: str  # its address; empty: there is none
    replica_addresses: list[str]  # the address of the node of each viewer


class Silence(NamedTuple):
    """What one fault meant to viewers: the longest stretches without a comment, in ms"""

    fault: Fault
    healthy_ms: list[float]  # of each viewer on another node
    victims_ms: list[float]  # of those who were on the faulty node


class Result(NamedTuple):
    outcome: Outcome
    deliveries: int
    reconnects: int
    silences: list[Silence]

    @property
    def kept(self) -> bool:
        """No process of comment_service ends here, so no post may be cut either."""
        return self.outcome.kept and not self.outcome.cut


async def chaos(form: Form, settings: FaultSettings = FAULTS, breaks: Sequence[Fault] = BREAKS) -> Result:
    """Raises NotReady, aiohttp.ClientError, TimeoutError; all that was started is ended."""
    faults, struck = (NO_FAULT, *breaks), []
    with tempfile.TemporaryDirectory(prefix="bench-chaos-") as folder:
        # Each video's viewers are spread over two nodes, so that both kinds are there: on the faulty one, and not.
        spill = str(max(1, -(-form.viewers // form.videos) // 2))
        plan = make_plan(
            dispatchers=settings.replicas,
            rms=settings.nodes,
            store=f"sqlite:{Path(folder) / 'comments.db'}",
            data=Path(folder),
            ports=free_ports(ports_of(dispatchers=settings.replicas, rms=settings.nodes)),
            log_format="json",
            more_flags=lambda role: ("--spill-viewers", spill) if role == "dispatcher" else (),
        )
        supervision = replace(SUPERVISOR, restart_first_s=settings.restart_s)
        videos = [f"chaos-{number}" for number in range(form.videos)]
        async with a_system(plan, videos, form.viewers, supervision=supervision, settings=settings) as system:
            start_s = time.monotonic()
            with ungrouped():
                async with asyncio.TaskGroup() as group:
                    group.create_task(system.authors.post(form.rate, round(form.rate * form.seconds)))
                    for number, fault in enumerate(faults):
                        await asyncio.sleep(start_s + form.seconds * number / len(faults) - time.monotonic())
                        struck.append(await _strike(fault, system))
            end_s = time.monotonic()
            await system.settled()
            return _result(system, struck, end_s)


async def _strike(fault: Fault, system: System) -> Struck:
    """A killed process is started again by its supervisor; a stopped one goes on after some seconds."""
    replica_addresses = [server for audience in system.audiences.values() for server in audience.servers]
    victim = await _victim(fault, system, replica_addresses)
    struck = Struck(fault, time.monotonic(), victim, replica_addresses)
    for part in system.plan[fault.role] if fault.role else ():
        if part.address == victim:
            system.processes[part.name].signal(fault.how)
            if fault.how is signal.SIGSTOP:
                await asyncio.sleep(system.settings.stop_s)
                system.processes[part.name].signal(signal.SIGCONT)
    return struck


async def _victim(fault: Fault, system: System, replica_addresses: Sequence[str]) -> str:
    if fault.role == "rms":
        return Counter(replica_addresses).most_common(1)[0][0]
    if not fault.role:
        return ""
    operators = system.plan["comment-service"][0].operators
    async with aiohttp.ClientSession() as session, session.get(f"http://{operators}/health") as health:
        number = (await health.json())["publisher"]["connected"]
    numbers = replica_numbers(part.address for part in system.plan["dispatcher"])
    return next((address for address, each in numbers.items() if each == number), "")


def _result(system: System, struck: Sequence[Struck], end_s: float) -> Result:
    audiences, ends_s = system.audiences, [*(each.at_s for each in struck[1:]), end_s]
    return Result(
        system.outcome(),
        deliveries=sum(len(system.authors.due_at_s(video)) * len(each.records) for video, each in audiences.items()),
        reconnects=sum(audience.reconnects for audience in audiences.values()),
        silences=[_silence(system, each, to_s) for each, to_s in zip(struck, ends_s, strict=True)],
    )


def _silence(system: System, struck: Struck, to_s: float) -> Silence:
    silence = Silence(struck.fault, [], [])
    records = (record for audience in system.audiences.values() for record in audience.records)
    for record, server in zip(records, struck.replica_addresses, strict=True):
        silence_ms = longest_silence_s(list(record.read_at_s.values()), struck.at_s, to_s) * 1000
        (silence.victims_ms if server == struck.victim else silence.healthy_ms).append(silence_ms)
    return silence


def longest_silence_s(arrivals_s: Sequence[float], from_s: float, to_s: float) -> float:
    """arrivals_s: sorted. A silence under way at the window's begin counts whole; one under way at its end counts up to
    there, for what comes then has another cause."""
    first = bisect_right(arrivals_s, from_s) - 1
    last = bisect_left(arrivals_s, to_s)
    points = [arrivals_s[first] if first >= 0 else from_s, *arrivals_s[first + 1 : last], to_s]
    return max(after - before for before, after in pairwise(points))


def show(result: Result) -> bool:
    """Prints the result; True: everything was kept."""
    outcome, rows = result.outcome, []
    for fault, healthy_ms, victims_ms in result.silences:
        healthy = (f"{max(healthy_ms, default=0):.0f} ms", f"{median(healthy_ms or [0]):.0f} ms")
        victims = (f"{max(victims_ms):.0f} ms", str(len(victims_ms))) if victims_ms else ("", "")
        rows.append((fault.what, *healthy, f"{fault.reach_ms:.0f} ms" if fault.reach_ms else "", *victims))
    columns = (
        "fault",
        "healthy nodes:\nlongest silence",
        "\nmedian",
        "\nreach",
        "on the\nfaulty node",
        "viewers\nthere",
    )
    errors = " ".join(f"{what!r}:{count}" for what, count in outcome.errors.items()) or "none"
    console().print(
        table(procfs.machine(), columns, rows),
        f"acknowledged={outcome.acknowledged} deliveries={result.deliveries} lost={outcome.lost} "
        f"doubled={outcome.doubled} disordered={outcome.disordered} reconnects={result.reconnects}",
        f"errors to authors: {errors}; cut: {outcome.cut}; longest wait {outcome.longest_wait_s * 1000:.0f} ms; "
        f"errors in the services' logs: {len(outcome.complaints)}",
        *outcome.complaints[:5],
        sep="\n",
        markup=False,
    )
    return result.kept
