"""The dispatcher replicas: one channel to each, shared by publishing and placing.

The order is shuffled once a process, so that many processes spread over the replicas while each keeps to one as long
as it is well. A failed replica goes to the end of the order.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio

from proto.dispatch_pb2_grpc import DispatcherStub

if TYPE_CHECKING:
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub


class ReplicaAway(Exception):
    """No connection to the replica came about."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """How soon a replica that has fallen silent is left: at most interval_ms + timeout_ms"""

    interval_ms: int
    timeout_ms: int


class Replicas:
    """Make it, use it and close it in one running event loop."""

    def __init__(self, addresses: Sequence[str], keepalive: Keepalive) -> None:
        options = [
            ("grpc.keepalive_time_ms", keepalive.interval_ms),
            ("grpc.keepalive_timeout_ms", keepalive.timeout_ms),
            # gRPC core (1.85) watches its pings with a timer of their own, 60 s by default. Without this one a stopped
            # process was not noticed for more than 45 s, whatever keepalive_timeout_ms said; with it, after 2 s.
            ("grpc.http2.ping_timeout_ms", keepalive.timeout_ms),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            # gRPC's own waits between connection attempts begin at 1 s and grow to 120 s; a replica is back sooner.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", keepalive.interval_ms),
            ("grpc.max_reconnect_backoff_ms", keepalive.interval_ms),
        ]
        self._channels = {
            address: grpc.aio.insecure_channel(address, options=options)
            for address in random.sample(list(addresses), len(addresses))
        }
        self._order = list(self._channels)

    def __len__(self) -> int:
        return len(self._order)

    def best(self) -> str:
        """The replica to try first"""
        return self.in_order()[0]

    def in_order(self) -> list[str]:
        """All of them: connected ones first, and those that failed lately last"""
        return sorted(self._order, key=lambda address: not self.is_connected(address))

    def stub(self, address: str) -> "DispatcherAsyncStub":
        return DispatcherStub(self._channels[address])

    def failed(self, address: str) -> None:
        """Others are tried before it next time."""
        self._order.remove(address)
        self._order.append(address)

    def is_connected(self, address: str) -> bool:
        """Asking also starts a connection where there is none, which keeps all of them warm for a failover."""
        return self._channels[address].get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    def connected(self) -> int:
        """How many replicas are connected"""
        return sum(map(self.is_connected, self._order))

    async def wait_connected(self, address: str, timeout_ms: int) -> None:
        """Raises ReplicaAway when a connection is refused or hasn't come about in time.

        A channel whose last attempt was refused says so until one succeeds; it goes on trying by itself.
        """
        channel = self._channels[address]
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        raise ReplicaAway("the connection failed")
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            raise ReplicaAway(f"no connection within {timeout_ms} ms") from None

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
