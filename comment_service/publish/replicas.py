"""The channels to the dispatcher replicas: which one to try first, and which are connected.

Connected replicas come first; among equals one that failed recently comes last.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio

from comment_service.core.reach import Nodes
from proto.channel import Unreachable, wait_connected
from proto.dispatch_pb2 import ClockRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.replicas import ReplicaAddresses, ReplicaChannels, reconnecting
from proto.tls import Tls

if TYPE_CHECKING:
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub


class ReplicaAway(Exception):
    """The replica can't be connected, or it is no replica any more. Says why."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A replica that has fallen silent is left after interval_ms + timeout_ms at most."""

    interval_ms: int
    timeout_ms: int


class Replicas:
    """Belongs to one event loop; `follow` has to run while it is used."""

    def __init__(self, replica_addresses: ReplicaAddresses, keepalive: Keepalive, tls: Tls | None = None) -> None:
        options = [
            ("grpc.keepalive_time_ms", keepalive.interval_ms),
            ("grpc.keepalive_timeout_ms", keepalive.timeout_ms),
            # gRPC core (1.85) watches its pings with a timer of their own, 60 s by default. Without this one a stopped
            # process was not noticed for more than 45 s, whatever keepalive_timeout_ms said; with it, after 2 s.
            ("grpc.http2.ping_timeout_ms", keepalive.timeout_ms),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            *reconnecting(keepalive.interval_ms),
        ]
        self._channels = ReplicaChannels(replica_addresses, tls, options)
        self._troubles: dict[str, str] = {}
        self.nodes: Nodes = {}
        """what `look` has found"""

    def __len__(self) -> int:
        return len(self._channels.order)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(self._channels.order)

    async def best(self) -> str:
        """The replica to try first. Waits until one is known."""
        await self._channels.wait_any()
        return self.in_order()[0]

    def in_order(self) -> list[str]:
        """All of them: connected ones first; among equals those that failed recently last"""
        return sorted(self._channels.order, key=lambda address: not self.is_connected(address))

    def stub(self, address: str) -> "DispatcherAsyncStub":
        return DispatcherStub(self._channels[address])

    def connected_stubs(self) -> dict[str, "DispatcherAsyncStub"]:
        """Of all that are connected now, by address"""
        connected = filter(self.is_connected, self._channels.order)
        return {address: DispatcherStub(self._channels[address]) for address in connected}

    def failed(self, address: str) -> None:
        """Puts it behind the others."""
        self._channels.failed(address)

    def prefer(self, address: str) -> None:
        """Puts it before the others."""
        self._channels.prefer(address)

    async def look(self, timeout_ms: int) -> Nodes:
        """Asks all replicas at once how many nodes they reach. Takes timeout_ms at most."""
        found: dict[str, int | None] = {}

        async def ask(address: str, stub: "DispatcherAsyncStub") -> None:
            try:
                answer = await stub.Clock(ClockRequest(), timeout=timeout_ms / 1000)
            except (grpc.RpcError, grpc.aio.UsageError):  # the latter if its channel is closed already
                return
            found[address] = answer.nodes if answer.HasField("nodes") else None

        outcomes = await asyncio.gather(
            *(ask(address, stub) for address, stub in self.connected_stubs().items()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, Exception):  # gRPC cancels a call whose channel is closed: that is none
                raise outcome
        self.nodes = found
        return found

    def is_connected(self, address: str) -> bool:
        """Asking also begins a connection if there is none, so that all of them are ready for a failover."""
        return (
            address in self._channels
            and self._channels[address].get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
        )

    def not_failing(self) -> set[str]:
        """Those that are connected, or may be soon: they have not refused the last try. Begins it."""
        return {
            address
            for address in self._channels.order
            if self._channels[address].get_state(try_to_connect=True) is not grpc.ChannelConnectivity.TRANSIENT_FAILURE
        }

    def connected(self) -> int:
        """How many replicas are connected"""
        return sum(map(self.is_connected, self._channels.order))

    @property
    def troubles(self) -> list[str]:
        """Why replicas could not be connected at the last try, without their addresses"""
        return sorted({words for address, words in self._troubles.items() if not self.is_connected(address)})

    async def wait_connected(self, address: str, timeout_ms: int) -> None:
        """Raises ReplicaAway when the connection is refused, or isn't there in time."""
        try:
            await wait_connected(self._channels[address], timeout_ms)
        except Unreachable as unreachable:
            self._troubles[address] = str(unreachable)
            raise ReplicaAway(str(unreachable)) from None
        self._troubles.pop(address, None)

    async def wait_gone(self, address: str) -> None:
        """Raises ReplicaAway when it is no replica any more."""
        await self._channels.wait_gone(address)
        self._troubles.pop(address, None)
        raise ReplicaAway("its name has another address now")

    async def follow(self) -> None:
        """Keeps the replicas of a DNS name up to date, for ever. Returns at once if they are given as a list."""
        await self._channels.follow()

    async def close(self) -> None:
        await self._channels.close()
