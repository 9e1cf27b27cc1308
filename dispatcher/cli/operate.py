"""What operators do, and not only see: drain a node and wait for its word, and follow what happens."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from dispatcher.cli.survey import Unreachable, reason_of, survey
from dispatcher.clocks import block_s, monotonic_ms, wall_ms
from dispatcher.config import TOPOLOGY
from proto.channel import Tls, aio_channel, blocking_channel
from proto.dispatch_pb2 import DrainRequest, Event, EventsRequest, TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of an operator's word"""

    known: bool  # some replica has the node
    agreed: bool  # all replicas that have the node have its word by now
    viewers: int
    unreachable: tuple[Unreachable, ...]


def drain(
    addresses: Sequence[str], request: DrainRequest, timeout_ms: int, until_empty_ms: int = 0, tls: Tls | None = None
) -> Drained:
    """Gives the word to one replica that has the node, and waits for the node's own word at all of them.

    until_empty_ms: not 0: waits so long, too, until the node has no viewers.
    """
    known, unreachable = _say(addresses, request, timeout_ms, tls)
    wanted = "draining" if request.draining else "live"
    agreed, viewers = False, 0
    agree_by_ms = monotonic_ms() + timeout_ms
    empty_by_ms = monotonic_ms() + until_empty_ms
    while known:
        found = [
            row
            for row in survey(addresses, TopologyRequest(), timeout_ms, tls).nodes()
            if row.node_id == request.node_id
        ]
        viewers = sum(row.viewers for row in found)
        agreed = all(row.state == wanted for row in found)
        now_ms = monotonic_ms()
        if (agreed and (not viewers or now_ms > empty_by_ms)) or (not agreed and now_ms > agree_by_ms):
            break
        block_s(TOPOLOGY.poll_ms / 1000)
    return Drained(known, agreed, viewers, tuple(unreachable))


def _say(
    addresses: Sequence[str], request: DrainRequest, timeout_ms: int, tls: Tls | None
) -> tuple[bool, list[Unreachable]]:
    """Has any replica passed it on? Each node hears it once: its beats tell the other replicas."""
    unreachable = []
    for address in addresses:
        with blocking_channel(address, tls) as channel:
            try:
                DispatcherStub(channel).Drain(request, timeout=timeout_ms / 1000)
            except grpc.RpcError as error:
                code = error.code()
                if code is not grpc.StatusCode.NOT_FOUND:
                    unreachable.append(Unreachable(address, reason_of(code, error.details(), timeout_ms)))
            else:
                return True, unreachable
    return False, unreachable


async def tail(addresses: Sequence[str], timeout_ms: int, tls: Tls | None = None) -> AsyncIterator[tuple[str, Event]]:
    """Address and event, of all replicas as it happens, for ever. A replica that can't be followed is an event of kind
    "unreachable", and one that can is "followed": what happened before that wasn't seen."""
    happened: asyncio.Queue[tuple[str, Event]] = asyncio.Queue(maxsize=TOPOLOGY.tail_events_max)
    followers = [asyncio.create_task(_follow(address, timeout_ms, happened, tls)) for address in addresses]
    try:
        while True:
            yield await happened.get()
    finally:
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)


async def _follow(address: str, timeout_ms: int, happened: asyncio.Queue[tuple[str, Event]], tls: Tls | None) -> None:
    away = False
    while True:
        async with aio_channel(address, tls) as channel:
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    await channel.channel_ready()
                    call = DispatcherStub(channel).Events(EventsRequest())
                    await call.initial_metadata()
                away = False
                await happened.put((address, Event(at_ms=wall_ms(), kind="followed")))
                async for event in call:
                    await happened.put((address, event))
                reason = "it ended the stream"
            except TimeoutError:
                reason = "nothing answers there"
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error.code(), error.details(), timeout_ms)
        if not away:
            away = True
            await happened.put((address, Event(at_ms=wall_ms(), kind="unreachable", reason=reason)))
        await asyncio.sleep(TOPOLOGY.poll_ms / 1000)
