"""scripts/bench outage: stops Cassandra and kills comment_service meanwhile, or kills one Cassandra node of three.

Afterwards the driver reads all of Cassandra: every comment for which an author had a 200 must be there with its text,
and must have come to every viewer of its video once.
"""

import asyncio
import re
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import aiohttp

from history.core.ids import parse_id
from scripts.benches import procfs
from scripts.benches.authors import longest_pause_s
from scripts.benches.cassandra import BenchCassandra, Stored
from scripts.benches.config import FAULTS, SCHEMA_MS, FaultSettings
from scripts.benches.running import ungrouped
from scripts.benches.system import Outcome, System, a_system
from scripts.benches.table import console, table
from scripts.config import SUPERVISOR
from scripts.plan import free_ports, make_plan, ports_of

BREAKS = {"kill": "kill -9", "hang": "SIGSTOP", "node": "kill -9 of 1 of 3"}
"""What happens to Cassandra"""

COLUMNS = (
    "\nCassandra",
    "\n200s",
    "not\nstored",
    "\nlost",
    "\ndoubled",
    "\nerrors",
    "pause\ns",
    "wait\ns",
    "drained\ns",
)
COMPLAINTS_SHOWN = 5
UNDRAINED = re.compile(r"^comment_service_(?:spool_comments|store_away|catching_up) [^0]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for on the command line"""

    nodes: int = 1
    rate: float = 500.0
    seconds: float = 30.0
    viewers: int = 30
    repeats: int = 1


class Times(NamedTuple):
    """Seconds"""

    away: float  # from the fault until Cassandra answered again
    down: float = 0.0  # comment_service, from kill -9 until it listened again
    drained: float = 0.0  # from Cassandra's answer until the spool was empty and all nodes had read


class Result(NamedTuple):
    """Of one run"""

    broken: str
    outcome: Outcome
    times: Times
    longest_pause_s: float  # without a 200 while comment_service was up
    not_stored: int  # acknowledged, and not in Cassandra, or with another text
    unanswered: int  # stored, and nobody had a 200 for it: its post was cut

    @property
    def kept(self) -> bool:
        in_time = self.longest_pause_s <= FAULTS.pause_s_max
        return self.outcome.kept and not self.not_stored and self.unanswered <= self.outcome.cut and in_time


async def outage(form: Form, settings: FaultSettings = FAULTS) -> bool:
    """True: everything was kept in all runs. Raises BenchFailed, NotReady, aiohttp.ClientError, TimeoutError."""
    results: list[Result] = []
    try:
        for number in range(form.repeats):
            for how in ("kill", "hang") if form.nodes == 1 else ("node",):
                result = await one_outage(how, form, settings, victim=number % form.nodes + 1)
                results.append(result)
    finally:
        show(results, form)
    return all(result.kept for result in results)


async def one_outage(how: str, form: Form, settings: FaultSettings = FAULTS, victim: int = 1) -> Result:
    """victim: which Cassandra node, counted from 1"""
    videos = [f"outage-{number}" for number in range(settings.outage_videos)]
    with tempfile.TemporaryDirectory(prefix="bench-outage-") as folder:
        # Where comment_service is killed in the outage, it must not wait for the store.
        waits = ("--node-wait-ms", str(SCHEMA_MS)) if how == "node" else ()
        async with BenchCassandra(form.nodes) as cassandra:
            plan = make_plan(
                dispatchers=2,
                rms=2,
                store=cassandra.url,
                data=Path(folder),
                ports=free_ports(ports_of(dispatchers=2, rms=2)),
                log_format="json",
                more_flags=lambda role: waits if role == "comment-service" else (),
            )
            keyed, patient = settings.keyed_every, replace(SUPERVISOR, ready_timeout_s=SCHEMA_MS / 1000)
            async with a_system(
                plan, videos, form.viewers, keyed_every=keyed, supervision=patient, settings=settings
            ) as system:
                with ungrouped():
                    async with asyncio.TaskGroup() as group:
                        group.create_task(system.authors.post(form.rate))
                        await asyncio.sleep(settings.warm_s)
                        times = await _break(how, cassandra, victim, system, form.seconds)
                        await asyncio.sleep(settings.after_s)
                        system.authors.enough()
                await _drained(system)
                await system.settled()
            return _result(how, system, await cassandra.stored(), times)  # nothing else wants Cassandra any more


async def _break(how: str, cassandra: BenchCassandra, victim: int, system: System, seconds: float) -> Times:
    await cassandra.signal(victim, signal.SIGSTOP if how == "hang" else signal.SIGKILL)
    broken_s = time.monotonic()
    await asyncio.sleep(seconds / 2)
    if how == "node":
        await asyncio.sleep(seconds / 2)
        return Times(time.monotonic() - broken_s)
    system.processes["comment-service-1"].signal(signal.SIGKILL)
    system.authors.gone()
    killed_s = time.monotonic()
    await asyncio.sleep(seconds / 2)
    if how == "hang":
        await cassandra.signal(victim, signal.SIGCONT)
    else:
        await cassandra.start_again(victim)
    back_s = time.monotonic()
    await _drained(system)
    down = system.authors.up_since_s - killed_s
    return Times(back_s - broken_s, down, time.monotonic() - back_s)


async def _drained(system: System) -> None:
    """Returns when the spool is empty and the nodes have been asked to read what was in it. Raises TimeoutError."""
    async with asyncio.timeout(system.settings.drained_s), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://{system.plan['comment-service'][0].operators}/metrics") as answer:
                    if not UNDRAINED.search(await answer.text()):
                        return
            except aiohttp.ClientError:
                pass  # it is just being started
            await asyncio.sleep(system.settings.poll_s)


def _result(how: str, system: System, stored: dict[int, Stored], times: Times) -> Result:
    acknowledged = system.authors.acknowledged
    expected = {parse_id(name): Stored(each.video_id, each.message) for name, each in acknowledged.items()}
    return Result(
        how,
        system.outcome(),
        times,
        longest_pause_s=longest_pause_s(acknowledged.values(), system.authors.lives),
        not_stored=sum(stored.get(comment_id) != comment for comment_id, comment in expected.items()),
        unanswered=len(stored.keys() - expected.keys()),
    )


def show(results: Sequence[Result], form: Form) -> None:
    rows, lines = [], []
    for each in results:
        outcome = each.outcome
        counts = (outcome.acknowledged, each.not_stored, outcome.lost, outcome.doubled, sum(outcome.errors.values()))
        seconds = (each.longest_pause_s, outcome.longest_wait_s, each.times.drained)
        rows.append((BREAKS[each.broken], *(f"{count:,}" for count in counts), *(f"{s:.2f}" for s in seconds)))
        lines.append(
            f"{BREAKS[each.broken]}: away {each.times.away:.1f} s, comment_service down {each.times.down:.1f} s, posts "
            f"cut {outcome.cut}, stored without an answer {each.unanswered}: {'kept' if each.kept else 'BROKEN'}"
        )
        lines += outcome.complaints[:COMPLAINTS_SHOWN]
    out = console()
    out.print(table(f"{form.rate:g} comments/s, {form.viewers} viewers, {form.seconds:g} s", COLUMNS, rows))
    out.print(
        *lines,
        "reach: nothing lost, doubled or not stored, no errors, no pause over 1 s while the process was up",
        procfs.machine(),
        sep="\n",
        markup=False,
    )
