"""dispatcher/streams/events.py: a watcher gets what happens in order, and is told what it was too slow for."""

import asyncio

import pytest

from dispatcher.core.errors import LimitReached, Stopping
from dispatcher.streams.events import Events
from proto.dispatch_pb2 import Event


async def test_each_watcher_gets_what_happens_from_now_on() -> None:
    events = Events(watchers_max=2, queued_max=10)
    events.happened(Event(kind="before"))
    one, two = events.open(), events.open()
    events.happened(Event(kind="spill"))
    assert (await one.next()).kind == (await two.next()).kind == "spill"
    waiting = asyncio.ensure_future(one.next())
    await asyncio.sleep(0)
    events.close(two)
    events.happened(Event(kind="node_left"))
    assert (await waiting).kind == "node_left"
    assert len(events) == 1


async def test_a_slow_watcher_loses_the_oldest_and_is_told_how_many() -> None:
    events = Events(watchers_max=1, queued_max=2)
    watcher = events.open()
    for number in range(5):
        events.happened(Event(node_id=f"rms-{number}"))
    first, second = await watcher.next(), await watcher.next()
    assert [(first.node_id, first.lost), (second.node_id, second.lost)] == [("rms-3", 3), ("rms-4", 0)]


async def test_there_is_a_limit_and_an_end() -> None:
    events = Events(watchers_max=1, queued_max=2)
    watcher = events.open()
    with pytest.raises(LimitReached, match="at most 1 watchers"):
        events.open()
    events.happened(Event(kind="last"))
    events.end()
    assert (await watcher.next()).kind == "last"
    with pytest.raises(Stopping):
        await watcher.next()
