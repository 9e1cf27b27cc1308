"""Shows the topology as it changes: `watch` redraws tables, `tail` prints a line for each topology event."""

import asyncio
import contextlib
import functools
import itertools
import json
from collections.abc import AsyncGenerator, Sequence

import grpc.aio
from rich.console import Console, Group
from rich.text import Text

from dispatcher.cli.options import Options
from dispatcher.cli.survey import Survey, plain, reason_of
from dispatcher.cli.tables import node_table, replica_table, video_table
from dispatcher.clocks import block_s, local_time, wall_ms
from dispatcher.config import TOPOLOGY
from dispatcher.streams.watchers import Kind
from proto.channel import aio_channel
from proto.dispatch_pb2 import EventsRequest, TopologyEvent, TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.tasks import Supervisor
from proto.tls import Tls

_BAD_NEWS = (Kind.NODE_LEFT, Kind.UNREACHABLE)

_Events = asyncio.Queue[tuple[str, TopologyEvent]]
"""Each with the address of the replica that it is from"""


def watched(options: Options, top: int, every_s: float) -> tuple[Survey, Group]:
    """What the replicas know now, and how it is drawn"""
    found = options.ask(TopologyRequest(videos_max=top))
    away = [Text(f"replica {each.address}: {each.reason}", style="bold red") for each in found.unreachable]
    return found, Group(
        Text(f"{local_time(wall_ms())}   every {every_s:g} s, ends with Ctrl-C", style="dim"),
        replica_table(found.replicas()),
        "",
        node_table(found.nodes(), found),
        "",
        video_table(found.videos()[:top], found),
        *away,
    )


def print_watch(options: Options, top: int, every_s: float, count: int) -> None:
    """Prints the same as one line of JSON each time. count: ends after so many; 0: never"""
    for look in itertools.count(1):
        found = options.ask(TopologyRequest(videos_max=top))
        rows = {
            "replicas": plain(found.replicas()),
            "nodes": plain(found.nodes()),
            "videos": plain(found.videos()[:top]),
            "unreachable": plain(found.unreachable),
        }
        print(json.dumps(rows), flush=True)  # noqa: T201 # it is the answer
        if look == count:
            return
        block_s(every_s)


async def print_tail(options: Options, count: int) -> None:
    """count: ends after so many events; 0: never"""
    console = Console(soft_wrap=True)
    shown = 0
    followed = tail(options.dispatchers.split(","), options.timeout_ms, options.tls)
    async with contextlib.aclosing(followed) as events:
        async for address, event in events:
            if options.as_json:
                facts = {"replica": address, "at_ms": event.at_ms, "kind": event.kind, "node_id": event.node_id}
                more = {"video_id": event.video_id, "reason": event.reason, "lost": event.lost}
                print(json.dumps(facts | more), flush=True)  # noqa: T201 # it is the answer
            else:
                console.print(event_line(address, event))
            shown += 1
            if shown == count:
                return


def event_line(address: str, event: TopologyEvent) -> Text:
    line = Text(f"{local_time(event.at_ms)}.{event.at_ms % 1000:03} {address}  ", style="dim")
    if event.lost:
        line.append(f"({event.lost} lost) ", style="bold red")
    line.append(event.kind.replace("_", " "), style="bold red" if event.kind in _BAD_NEWS else "bold")
    for text in (event.node_id, event.video_id, event.reason):
        if text:
            line.append(f"  {text}", style="not dim")
    return line


async def tail(
    addresses: Sequence[str], timeout_ms: int, tls: Tls | None = None
) -> AsyncGenerator[tuple[str, TopologyEvent], None]:
    """Every topology event with its replica's address, without an end.

    A replica that can't be followed is an event of the kind UNREACHABLE, once, and one that can is FOLLOWED: its events
    before that are unknown.
    """
    events: _Events = asyncio.Queue(maxsize=TOPOLOGY.tail_events_max)
    followers = Supervisor()
    for address in addresses:
        followers.keep(f"follow {address}", functools.partial(_follow, address, timeout_ms, events, tls))
    try:
        while True:
            yield await events.get()
    finally:
        await followers.close()


async def _follow(address: str, timeout_ms: int, events: _Events, tls: Tls | None) -> None:
    away = False
    while True:
        async with aio_channel(address, tls) as channel:
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    await channel.channel_ready()
                    call = DispatcherStub(channel).Events(EventsRequest())
                    await call.initial_metadata()
                away = False
                await events.put((address, TopologyEvent(at_ms=wall_ms(), kind=Kind.FOLLOWED)))
                async for event in call:
                    await events.put((address, event))
                reason = "it ended the stream"
            except TimeoutError:
                reason = "nothing answers there"
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error.code(), error.details(), timeout_ms)
        if not away:
            away = True
            await events.put((address, TopologyEvent(at_ms=wall_ms(), kind=Kind.UNREACHABLE, reason=reason)))
        await asyncio.sleep(TOPOLOGY.poll_ms / 1000)
