"""Placement: any replica's word, within a bound"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from comment_service.core.errors import NoDispatcher, NoPlace
from comment_service.publish.placement import Placement
from comment_service.publish.replicas import Keepalive, Replicas
from proto.replicas import ReplicaAddresses
from tests.comment_service.fake_dispatcher import FakeDispatcher, fake_dispatcher

Make = Callable[..., Placement]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make_placement(*addresses: str, try_timeout_ms: int = 5000, timeout_ms: int = 10_000) -> Placement:
            replicas = Replicas(ReplicaAddresses(",".join(addresses), 1000), Keepalive(1000, 1000))
            stack.push_async_callback(replicas.close)
            return Placement(replicas, try_timeout_ms=try_timeout_ms, timeout_ms=timeout_ms)

        yield make_placement


async def test_the_node_that_a_replica_names(make: Make, dispatcher: FakeDispatcher) -> None:
    assert await make(dispatcher.address).place("demo") == "http://127.0.0.1:1"
    assert dispatcher.placed == ["demo"]


async def test_a_dead_replica_is_passed_over(make: Make, dispatcher: FakeDispatcher, nowhere: str) -> None:
    placement = make(nowhere, dispatcher.address)
    for _ in range(3):
        assert await placement.place("demo") == "http://127.0.0.1:1"


async def test_a_replica_that_knows_no_node_is_not_the_last_word(make: Make, dispatcher: FakeDispatcher) -> None:
    async with fake_dispatcher() as empty:
        empty.public_url = None
        for _ in range(3):
            assert await make(empty.address, dispatcher.address).place("demo") == "http://127.0.0.1:1"


async def test_no_room_anywhere(make: Make, dispatcher: FakeDispatcher, nowhere: str) -> None:
    dispatcher.public_url = None
    with pytest.raises(NoPlace):
        await make(nowhere, dispatcher.address).place("demo")


async def test_nobody_there(make: Make, nowhere: str) -> None:
    with pytest.raises(NoDispatcher):
        await make(nowhere).place("demo")


async def test_a_silent_replica_is_waited_for_no_longer_than_said(make: Make, dispatcher: FakeDispatcher) -> None:
    async with fake_dispatcher() as silent:
        silent.places.clear()
        placement = make(silent.address, dispatcher.address, try_timeout_ms=50)
        for _ in range(3):
            assert await placement.place("demo") == "http://127.0.0.1:1"
        with pytest.raises((NoPlace, NoDispatcher)):
            await make(silent.address, try_timeout_ms=60_000, timeout_ms=50).place("demo")
        silent.places.set()
