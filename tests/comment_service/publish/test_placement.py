"""Placement: any replica's word, within a bound"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from comment_service.core.errors import NoDispatcher, NoPlace
from comment_service.publish.placement import Placement, PlacementSettings
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
            settings = PlacementSettings(
                _cli_parse_args=False,  # type: ignore[call-arg]
                place_try_timeout_ms=try_timeout_ms,
                place_timeout_ms=timeout_ms,
                place_asks_max=1,
                place_together_max=4,
                place_waiting_max=12,
            )
            placement = Placement(replicas, settings)
            stack.push_async_callback(placement.close)
            return placement

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


async def test_who_comes_together_is_placed_together(make: Make, dispatcher: FakeDispatcher) -> None:
    placement = make(dispatcher.address)
    dispatcher.places.clear()
    asking = [asyncio.ensure_future(placement.place(video_id)) for video_id in ("a", *"bbbbb", *"aaa")]
    await asyncio.sleep(0)
    asking[2].cancel()
    dispatcher.places.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in outcomes] == [n == 2 for n in range(9)]
    assert (dispatcher.placed, dispatcher.requests_to_place) == (4 * ["a"] + 4 * ["b"], 2)


async def test_who_finds_no_room_among_those_that_came_together_asks_again(
    make: Make, dispatcher: FakeDispatcher
) -> None:
    dispatcher.seats = 2
    placement = make(dispatcher.address)
    outcomes = await asyncio.gather(*(placement.place("demo") for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [str, str, NoPlace, NoPlace, NoPlace]


async def test_an_older_replica_names_one_node_for_all(make: Make, dispatcher: FakeDispatcher) -> None:
    dispatcher.is_old = True
    placement = make(dispatcher.address)
    assert await asyncio.gather(*(placement.place("demo") for _ in range(5))) == 5 * ["http://127.0.0.1:1"]


async def test_no_more_wait_than_may_wait(make: Make, dispatcher: FakeDispatcher) -> None:
    dispatcher.places.clear()
    placement = make(dispatcher.address)
    asking = [asyncio.ensure_future(placement.place("demo")) for _ in range(12)]
    await asyncio.sleep(0)
    with pytest.raises(NoDispatcher):
        await placement.place("demo")
    dispatcher.places.set()
    assert await asyncio.gather(*asking) == 12 * ["http://127.0.0.1:1"]
    assert await placement.place("demo") == "http://127.0.0.1:1"


async def test_at_the_end_nobody_is_left_waiting(make: Make, dispatcher: FakeDispatcher) -> None:
    dispatcher.places.clear()
    placement = make(dispatcher.address)
    asking = [asyncio.ensure_future(placement.place(video_id)) for video_id in "aab"]
    await asyncio.sleep(0)
    await placement.close()
    assert [type(each) for each in await asyncio.gather(*asking, return_exceptions=True)] == 3 * [NoDispatcher]
    dispatcher.places.set()
