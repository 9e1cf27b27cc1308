"""scripts/bench million: brings a million viewers onto one machine, placed by dispatchers, and publishes to them."""

import asyncio
import math
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc

from history.opening import open_store
from proto.channel import aio_channel
from proto.dispatch_pb2 import PlaceRequest, PlaceResponse
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches import procfs
from scripts.benches.config import MILLION, MillionSettings
from scripts.benches.publishing import publish_grpc, steadily
from scripts.benches.running import BenchFailed, pid_of, running, ungrouped
from scripts.benches.schedule import VIDEO, Schedule
from scripts.benches.table import console, size, table
from scripts.benches.viewers import Audience, Viewers
from scripts.plan import free_ports, make_plan, ports_of
from scripts.processes import Process

if TYPE_CHECKING:  # it is in the stubs only: at run time there is one class for both
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub


class Million:
    def __init__(self, viewers: int, comments: int, settings: MillionSettings = MILLION) -> None:
        self._viewers = viewers
        self._comments = comments
        self._settings = settings
        self._nodes = math.ceil(viewers / settings.capacity * (1 + settings.spare_nodes))
        self._available = procfs.available_bytes()
        self._phases: list[tuple[str, str, str, str]] = []
        self._used: list[int] = []  # of the machine's memory, at the end of each phase
        self._since_s = time.monotonic()

    async def run(self) -> bool:
        """True: nothing was lost or doubled. Raises BenchFailed, NotReady, grpc.RpcError."""
        self._check_memory()
        async with self._services() as (replicas, nodes), self._audience() as audience:
            self._phase("start", f"{self._nodes} RMS, {len(audience.processes)} viewers' processes")
            entrance = Entrance(self._viewers, audience.processes, self._settings)
            await entrance.connect_all(replicas)
            self._phase("connect", f"{self._viewers / (time.monotonic() - self._since_s):,.0f} handshakes/s")
            for number in range(self._comments):
                schedule = Schedule(time.monotonic_ns(), rate=1, count=1, first=number)
                await publish_grpc(replicas[number % len(replicas)], steadily(schedule))
                complete = await audience.wait_for(number + 1, self._settings.comment_timeout_s)
                self._phase(f"comment {number + 1}", "everybody has it" if complete else "not everybody had it in time")
            rms_bytes = sum(procfs.rss_bytes(pid_of(process)) for process in nodes)
            viewers_bytes = sum(procfs.rss_bytes(process.pid) for process in audience.processes)
            report = await audience.report(self._comments)
        self._phase("end")
        out, each = console(), entrance.viewers_by_node.values()
        columns = ("phase", "seconds", "in use", "")
        out.print(table(f"{self._viewers:,} viewers of one video", columns, self._phases))
        out.print(
            f"viewers={report.viewers} nodes={len(each)} deliveries={report.deliveries} lost={report.lost} "
            f"doubled={report.doubled} disordered={report.disordered} ended={report.ended} refused={entrance.refused}",
            f"viewers of a node: {min(each, default=0):,} to {max(each, default=0):,}",
            f"memory: RMS processes {size(rms_bytes)}, viewers' processes {size(viewers_bytes)}, "
            f"all with the kernel's sockets {size(max(self._used))}",
            procfs.machine(),
            sep="\n",
        )
        return not (report.lost or report.doubled)

    def _check_memory(self) -> None:
        needed = self._viewers * self._settings.bytes_a_viewer
        if self._available < needed:
            raise BenchFailed(
                f"{self._viewers:,} viewers need about {size(needed)}, and {size(self._available)} are free; "
                f"{int(self._available / self._settings.bytes_a_viewer):,} would fit: --viewers"
            )

    def _phase(self, name: str, note: str = "") -> None:
        """Ends a part of the run."""
        now_s = time.monotonic()
        used = max(0, self._available - procfs.available_bytes())  # others on the machine may have ended meanwhile
        phase = (name, f"{now_s - self._since_s:.1f}", size(used), note)
        self._used.append(used)
        self._phases.append(phase)
        console(stderr=True).print("{}: {} s, {} in use {}".format(*phase), style="dim")
        self._since_s = now_s

    @asynccontextmanager
    async def _services(self) -> AsyncIterator[tuple[list[str], list[Process]]]:
        """The dispatchers' addresses, and the nodes, which are started a few at a time"""
        settings = self._settings
        flags = (
            *("--capacity", str(settings.capacity), "--heartbeat-ms", str(settings.heartbeat_ms)),
            *("--count-sends-per-s", str(settings.count_sends_per_s)),
        )
        with tempfile.TemporaryDirectory(prefix="bench-million-") as folder:
            store = f"sqlite:{Path(folder) / 'comments.db'}"
            await (await open_store(store)).close()
            plan = make_plan(
                dispatchers=settings.dispatchers,
                rms=self._nodes,
                comment_services=0,
                store=store,
                data=Path(folder),
                ports=free_ports(ports_of(dispatchers=settings.dispatchers, rms=self._nodes, comment_services=0)),
                log_format="json",
                more_flags=lambda role: flags if role == "rms" else (),
            )
            together, parts = settings.start_together, plan["rms"]
            groups = [parts[first : first + together] for first in range(0, len(parts), together)]
            async with running([plan["dispatcher"], *groups]) as processes:
                yield [part.address for part in plan["dispatcher"]], processes[settings.dispatchers :]

    @asynccontextmanager
    async def _audience(self) -> AsyncIterator[Audience]:
        count = math.ceil(self._viewers / self._settings.capacity)
        async with AsyncExitStack() as stack:
            processes = [Viewers(number, f"/comments/{VIDEO}", self._comments) for number in range(count)]
            yield Audience([await stack.enter_async_context(process) for process in processes])


class Entrance:
    """Some workers at once: each asks a replica for a place, and connects a batch of one process's viewers there."""

    def __init__(self, viewers: int, processes: Sequence[Viewers], settings: MillionSettings = MILLION) -> None:
        self.refused = 0
        """viewers who came to a node that was full by then, and were placed again"""
        self.viewers_by_node: Counter[str] = Counter()
        self._left = viewers  # whom no worker has taken yet
        self._free = list(processes)  # that no worker has now, and that aren't full
        self._settings = settings

    async def connect_all(self, replicas: Sequence[str]) -> None:
        """Returns when every viewer has its stream. Raises BenchFailed, grpc.RpcError."""
        limit_s = self._settings.connect_timeout_s
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(aio_channel(address, None)) for address in replicas]
            stubs = [DispatcherStub(channel) for channel in channels]
            try:
                with ungrouped():
                    async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
                        for number in range(self._settings.workers):
                            group.create_task(self._work(stubs[number % len(stubs)]))
            except TimeoutError:
                raise BenchFailed(f"{self.viewers_by_node.total():,} viewers had come after {limit_s:.0f} s") from None

    async def _work(self, stub: "DispatcherAsyncStub") -> None:
        while self._left and self._free:
            process = self._free.pop()
            count = min(self._left, self._settings.batch, self._settings.capacity - process.viewers)
            self._left -= count
            place = await self._place(stub)
            answer = await process.connect(count, urlsplit(place.public_url).port or 0)
            self._left += answer.refused
            self.refused += answer.refused
            self.viewers_by_node[place.node_id] += answer.connected
            if process.viewers < self._settings.capacity:
                self._free.append(process)

    async def _place(self, stub: "DispatcherAsyncStub") -> PlaceResponse:
        for _ in range(self._settings.no_room_tries):
            try:
                return await stub.Place(PlaceRequest(video_id=VIDEO), timeout=self._settings.place_timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(self._settings.no_room_wait_s)
        raise BenchFailed("the dispatchers found no seat for a viewer")
