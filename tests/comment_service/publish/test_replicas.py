"""Replicas: which is tried first, and which are connected"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from comment_service.publish.replicas import Keepalive, ReplicaAway, Replicas
from proto.replicas import ReplicaAddresses
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.waiting import eventually

Make = Callable[..., Replicas]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make_replicas(*addresses: str) -> Replicas:
            replicas = Replicas(ReplicaAddresses(",".join(addresses), 1000), Keepalive(1000, 1000))
            stack.push_async_callback(replicas.close)
            return replicas

        yield make_replicas


async def test_processes_spread_over_the_replicas(make: Make) -> None:
    assert {await make("127.0.0.1:1", "127.0.0.1:2").best() for _ in range(50)} == {"127.0.0.1:1", "127.0.0.1:2"}


async def test_a_failed_one_is_tried_last(make: Make) -> None:
    replicas = make("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
    first, *others = replicas.in_order()
    assert await replicas.best() == first
    replicas.failed(first)
    assert replicas.in_order() == [*others, first]
    assert len(replicas) == 3


async def test_a_connected_one_is_tried_first(make: Make, dispatcher: FakeDispatcher, nowhere: str) -> None:
    replicas = make(nowhere, dispatcher.address)
    await replicas.wait_connected(dispatcher.address, 5000)
    replicas.failed(dispatcher.address)
    assert await replicas.best() == dispatcher.address
    assert replicas.in_order() == [dispatcher.address, nowhere]
    assert replicas.connected() == 1


async def test_asking_connects(make: Make, dispatcher: FakeDispatcher) -> None:
    replicas = make(dispatcher.address)
    await eventually(lambda: replicas.connected() == 1)


async def test_a_refused_connection_is_known_at_once(make: Make, nowhere: str) -> None:
    replicas = make(nowhere)
    with pytest.raises(ReplicaAway, match="nothing listens there"):
        await replicas.wait_connected(nowhere, 60_000)
    assert replicas.troubles == ["nothing listens there"]


async def test_a_connected_one_is_no_trouble(make: Make, dispatcher: FakeDispatcher) -> None:
    replicas = make(dispatcher.address)
    await replicas.wait_connected(dispatcher.address, 5000)
    assert replicas.troubles == []


async def test_a_name_without_an_answer_yet_is_waited_for(dispatcher: FakeDispatcher) -> None:
    found: set[str] = set()

    async def look_up(_name: str, _port: int) -> set[str]:
        return found

    replicas = Replicas(ReplicaAddresses("dns:d.example:1", 5, look_up), Keepalive(1000, 1000))
    following = asyncio.create_task(replicas.follow())
    best = asyncio.create_task(replicas.best())
    assert (len(replicas), replicas.in_order(), replicas.is_connected(dispatcher.address)) == (0, [], False)
    found.add(dispatcher.address)
    assert await asyncio.wait_for(best, 5) == dispatcher.address
    found = {"127.0.0.1:1"}
    with pytest.raises(ReplicaAway, match="another address"):
        await asyncio.wait_for(replicas.wait_gone(dispatcher.address), 5)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await replicas.close()
