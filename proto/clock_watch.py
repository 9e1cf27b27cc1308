"""Asks the dispatcher replicas now and then for the time, and tells when this process's clock is off, or one of theirs.

Why a call of its own? It works for a busy process and for one without traffic, and asks all replicas, not only the one
that is published to. Its answer takes a millisecond, where a batch's waits for the slowest node. And an answer belongs
to its question, which a beat's acknowledgement doesn't: that may be for any beat.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import structlog
from prometheus_client.core import GaugeMetricFamily
from pydantic import Field

from proto.core.clocks_apart import ClocksApart, Verdict
from proto.dispatch_pb2 import ClockRequest
from proto.settings import Settings

if TYPE_CHECKING:
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub

log = structlog.stdlib.get_logger()

LOOK_MS = 1_000
"""between two looks whether a replica is to be asked, and how long it has for its answer: so long a process whose clock
is off may count as ready after its start, or after its clock was set"""

ANSWERS_KEPT = 3
"""times `clock_check_ms` that an answer counts: two that get lost change nothing"""


class ClockSettings(Settings):
    """The settings of a service that compares its clock with the dispatchers'"""

    clock_off_ms_max: int = Field(
        5_000,
        ge=100,
        description="ms this process's clock may differ from most dispatchers'; beyond, it isn't ready: NTP holds "
        "clocks within some ms, and nodes read back 10,000 for two clocks of which each may be off by this",
    )
    clock_check_ms: int = Field(
        60_000,
        ge=100,
        description="longest ms between two questions to a dispatcher for its time, at least half of it: each costs it "
        "0.4 ms, so 1,300 nodes take 1.2 % of its CPU",
    )


@dataclass(frozen=True, slots=True)
class ClockStatistics:
    verdict: Verdict
    offsets_ms: Mapping[str, int]
    """of each replica that was heard lately: its clock less this process's"""

    @property
    def is_off(self) -> bool:
        """This process's clock is."""
        return self.verdict.own_ms is not None

    @property
    def words(self) -> str:
        """For anybody who asks about this process's health"""
        off_ms = self.verdict.own_ms
        if off_ms is None:
            return "ok"
        return f"{abs(off_ms)} ms {'ahead of' if off_ms > 0 else 'behind'} the dispatchers' clocks"


class ClockWatch:
    """Belongs to one event loop; `run` has to run while it is used."""

    def __init__(
        self,
        settings: ClockSettings,
        stubs: Callable[[], Mapping[str, "DispatcherAsyncStub"]],
        wall_ms: Callable[[], int],
        monotonic_ms: Callable[[], int],
        on_right: Callable[[], object] = lambda: None,
    ) -> None:
        """stubs: of the replicas that can be asked now, by address. on_right: called at each look that finds this
        process's clock confirmed."""
        # Processes that have found a replica at the same moment don't ask it at the same moment for ever.
        self._check_ms = settings.clock_check_ms * (1 + random.random()) / 2
        self._apart = ClocksApart(settings.clock_off_ms_max, ANSWERS_KEPT * settings.clock_check_ms)
        self._stubs = stubs
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        self._on_right = on_right
        self._told = Verdict(None, {})

    def statistics(self) -> ClockStatistics:
        """As it is now, also if this process's clock was set a moment ago"""
        wall_ms, monotonic_ms = self._wall_ms(), self._monotonic_ms()
        offsets = self._apart.offsets(wall_ms, monotonic_ms)
        return ClockStatistics(
            self._apart.verdict(wall_ms, monotonic_ms),
            {replica: offset.middle_ms for replica, offset in offsets.items()},
        )

    async def look(self) -> ClockStatistics:
        """Asks the replicas that are due, which takes LOOK_MS at most; and then those whose answers count no longer,
        because this process's clock was set meanwhile."""
        self._apart.forget_old(self._monotonic_ms())
        stubs = dict(self._stubs())
        while due := [address for address in stubs if self._is_due(address)]:
            asked = [self._ask(address, stubs.pop(address)) for address in due]
            for outcome in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(outcome, Exception):  # gRPC cancels a call whose channel is closed: that is none
                    raise outcome
        return self.statistics()

    def _is_due(self, address: str) -> bool:
        age_ms = self._apart.age_ms(address, self._wall_ms(), self._monotonic_ms())
        return age_ms is None or age_ms >= self._check_ms

    async def run(self) -> None:
        """For ever"""
        while True:
            now = await self.look()
            self._tell(now)
            if now.offsets_ms and not now.is_off:
                self._on_right()
            await asyncio.sleep(LOOK_MS / 1000)

    async def _ask(self, address: str, stub: "DispatcherAsyncStub") -> None:
        asked_ms = self._monotonic_ms()
        try:
            answer = await stub.Clock(ClockRequest(), timeout=LOOK_MS / 1000)
        except (grpc.RpcError, grpc.aio.UsageError):  # the latter if its channel is closed already
            return  # those who need the replica tell what is wrong with it
        wall_ms, monotonic_ms = self._wall_ms(), self._monotonic_ms()
        self._apart.heard(address, answer.now_ms, asked_ms=asked_ms, monotonic_ms=monotonic_ms, wall_ms=wall_ms)

    def _tell(self, now: ClockStatistics) -> None:
        """Logs what has changed."""
        told = self._told
        self._told = verdict = now.verdict
        if verdict.own_ms is not None and told.own_ms is None:
            log.error("clock is off, this process isn't ready", off_ms=verdict.own_ms, dispatchers=now.offsets_ms)
        elif verdict.own_ms is None and told.own_ms is not None:
            said = "clock is right again" if now.offsets_ms else "clock was off, and can't be compared any more"
            log.info(said, dispatchers=now.offsets_ms)
        for replica in verdict.replicas_ms.keys() - told.replicas_ms.keys():
            log.warning("a dispatcher's clock is off", dispatcher=replica, off_ms=verdict.replicas_ms[replica])
        for replica in told.replicas_ms.keys() - verdict.replicas_ms.keys():
            log.info("a dispatcher's clock is right again, or unknown", dispatcher=replica)


def clock_offsets(service: str, clock: ClockStatistics, numbers: Mapping[str, str]) -> GaugeMetricFamily:
    """The metric, named for the service. numbers: of the replicas, by address; a replica without one is left out."""
    gauge = GaugeMetricFamily(
        f"{service}_dispatcher_clock_offset_seconds", "the replica's clock less this one's", labels=["dispatcher"]
    )
    for address, offset_ms in clock.offsets_ms.items():
        if address in numbers:
            gauge.add_metric([numbers[address]], offset_ms / 1000)
    return gauge
