"""Brings faults about on the hosts of a running system, and heals them."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc

from proto.channel import aio_channel
from proto.dispatch_pb2 import DrainRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches.cassandra import BenchCassandra
from scripts.benches.config import PartitionSettings
from scripts.benches.faults import STORE, Fault
from scripts.benches.hosts import Hosts
from scripts.benches.wrong_clock import WrongClocks
from scripts.processes import Process

DRAIN_TIMEOUT_S = 2.0  # for one replica, which may be at fault itself
PORTS = {"comment-service": 8000, "dispatcher": 7000, "rms": 9000}
"""Each host has an address of its own, so all of a role may have one port."""
OPERATORS_PORT = 9900


def role_of(host: str) -> str:
    return host.rpartition("-")[0]


@dataclass(frozen=True, slots=True)
class Striking:
    hosts: Hosts
    clocks: WrongClocks | None
    cassandra: BenchCassandra
    processes: Mapping[str, Process]  # by the host's name
    replicas: Sequence[str]  # addresses
    settings: PartitionSettings

    async def strike(self, fault: Fault) -> None:
        match fault.kind:
            case "kill":
                self.processes[fault.host].signal(signal.SIGKILL)
            case "restart":
                self.processes[fault.host].signal(signal.SIGTERM)
            case "pause":
                await self._signal(fault.host, signal.SIGSTOP)
            case "drain":
                await self._drain(fault.host, draining=True)
            case "clock":
                self._set_clock(fault.host, fault.off_s)
            case _:
                await asyncio.to_thread(self._cut, fault)

    async def heal(self, fault: Fault) -> None:
        """What was ended is started again by its supervisor."""
        match fault.kind:
            case "pause":
                await self._signal(fault.host, signal.SIGCONT)
            case "drain":
                await self._drain(fault.host, draining=False)
            case "clock":
                self._set_clock(fault.host, 0)
            case "kill" | "restart":
                pass
            case _:
                await asyncio.to_thread(self._join, fault)

    def _cut(self, fault: Fault) -> None:
        match fault.kind:
            case "cut":
                self.hosts.cut(fault.host)
            case "port":
                self.hosts.cut_port(fault.host, PORTS[role_of(fault.host)])
            case "way":
                self.hosts.cut_way(fault.host, fault.other)
            case "link":
                self.hosts.cut_way(fault.host, fault.other)
                self.hosts.cut_way(fault.other, fault.host)

    def _join(self, fault: Fault) -> None:
        match fault.kind:
            case "cut":
                self.hosts.join(fault.host)
            case "port":
                self.hosts.open_port(fault.host, PORTS[role_of(fault.host)])
            case "way":
                self.hosts.open_way(fault.host, fault.other)
            case "link":
                self.hosts.open_way(fault.host, fault.other)
                self.hosts.open_way(fault.other, fault.host)

    def _set_clock(self, host: str, off_s: int) -> None:
        assert self.clocks, "no clock faults are drawn without libfaketime"
        self.clocks.set(host, off_s)

    async def _signal(self, host: str, how: signal.Signals) -> None:
        if host == STORE:
            await self.cassandra.signal(1, how)
        else:
            self.processes[host].signal(how)

    async def _drain(self, node: str, *, draining: bool) -> None:
        """Asks one replica after the other until one takes it. A node that none knows just now isn't drained."""
        request = DrainRequest(node_id=node, draining=draining, over_ms=self.settings.drain_over_ms if draining else 0)
        for address in self.replicas:
            async with aio_channel(address, None) as channel:
                try:
                    await DispatcherStub(channel).Drain(request, timeout=DRAIN_TIMEOUT_S)
                except grpc.aio.AioRpcError:
                    continue
                return
