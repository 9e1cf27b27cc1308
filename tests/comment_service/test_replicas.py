"""Replicas: which is tried first, and which are connected"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from comment_service.replicas import Keepalive, ReplicaAway, Replicas
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.waiting import eventually

Make = Callable[..., Replicas]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make_replicas(*addresses: str) -> Replicas:
            replicas = Replicas(addresses, Keepalive(1000, 1000))
            stack.push_async_callback(replicas.close)
            return replicas

        yield make_replicas


async def test_processes_spread_over_the_replicas(make: Make) -> None:
    assert {make("127.0.0.1:1", "127.0.0.1:2").best() for _ in range(50)} == {"127.0.0.1:1", "127.0.0.1:2"}


async def test_a_failed_one_is_tried_last(make: Make) -> None:
    replicas = make("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
    first, *others = replicas.in_order()
    assert replicas.best() == first
    replicas.failed(first)
    assert replicas.in_order() == [*others, first]
    assert len(replicas) == 3


async def test_a_connected_one_is_tried_first(make: Make, dispatcher: FakeDispatcher, nowhere: str) -> None:
    replicas = make(nowhere, dispatcher.address)
    await replicas.wait_connected(dispatcher.address, 5000)
    replicas.failed(dispatcher.address)
    assert replicas.best() == dispatcher.address
    assert replicas.in_order() == [dispatcher.address, nowhere]
    assert replicas.connected() == 1


async def test_asking_connects(make: Make, dispatcher: FakeDispatcher) -> None:
    replicas = make(dispatcher.address)
    await eventually(lambda: replicas.connected() == 1)


async def test_a_refused_connection_is_known_at_once(make: Make, nowhere: str) -> None:
    with pytest.raises(ReplicaAway, match="failed"):
        await make(nowhere).wait_connected(nowhere, 60_000)
