"""dispatcher/streams/watchers.py: a watcher gets the watchers in order, and how many it was too slow for."""

import asyncio

import pytest

from dispatcher.core.errors import LimitReached, Stopping
from dispatcher.streams.watchers import Watchers
from proto.dispatch_pb2 import TopologyEvent


async def test_each_watcher_gets_what_happens_from_now_on() -> None:
    watchers = Watchers(watchers_max=2, queued_max=10)
    watchers.send(TopologyEvent(kind="before"))
    one, two = watchers.open(), watchers.open()
    watchers.send(TopologyEvent(kind="spill"))
    assert (await one.next()).kind == (await two.next()).kind == "spill"
    waiting = asyncio.ensure_future(one.next())
    await asyncio.sleep(0)
    watchers.close(two)
    watchers.send(TopologyEvent(kind="node_left"))
    assert (await waiting).kind == "node_left"
    assert len(watchers) == 1


async def test_a_slow_watcher_loses_the_oldest_and_learns_how_many() -> None:
    watchers = Watchers(watchers_max=1, queued_max=2)
    watcher = watchers.open()
    for number in range(5):
        watchers.send(TopologyEvent(node_id=f"rms-{number}"))
    first, second = await watcher.next(), await watcher.next()
    assert [(first.node_id, first.lost), (second.node_id, second.lost)] == [("rms-3", 3), ("rms-4", 0)]


async def test_there_is_a_limit_and_an_end() -> None:
    watchers = Watchers(watchers_max=1, queued_max=2)
    watcher = watchers.open()
    with pytest.raises(LimitReached, match="at most 1 watchers"):
        watchers.open()
    watchers.send(TopologyEvent(kind="last"))
    watchers.end()
    assert (await watcher.next()).kind == "last"
    with pytest.raises(Stopping):
        await watcher.next()
