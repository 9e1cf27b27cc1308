"""dispatcher/streams/write_slots.py: a few at once, in order, and who keeps its slot for too long loses it to those
who wait."""

import asyncio

from dispatcher.streams.write_slots import WriteSlots
from tests.waiting import eventually

FOR_EVER_MS = 600_000


async def acquiring(slots: WriteSlots, who: str, had: list[str]) -> None:
    await slots.acquire(who)
    had.append(who)


async def test_as_many_as_may_and_then_in_order() -> None:
    slots, had = WriteSlots(2, FOR_EVER_MS), list[str]()
    tasks = [asyncio.create_task(acquiring(slots, who, had)) for who in "abcd"]
    await eventually(lambda: len(had) == 2)
    assert had == ["a", "b"]
    slots.release("b")
    await eventually(lambda: len(had) == 3)
    assert had == ["a", "b", "c"]
    slots.release("a")
    await asyncio.gather(*tasks)
    assert had == ["a", "b", "c", "d"]


async def test_a_slot_released_twice_counts_once() -> None:
    slots, had = WriteSlots(1, FOR_EVER_MS), list[str]()
    await slots.acquire("a")
    slots.release("a")
    slots.release("a")
    tasks = [asyncio.create_task(acquiring(slots, who, had)) for who in "bc"]
    await eventually(lambda: had == ["b"])
    slots.release("b")
    await asyncio.gather(*tasks)


async def test_who_goes_while_waiting_leaves_its_slot_to_the_next() -> None:
    slots, had = WriteSlots(1, FOR_EVER_MS), list[str]()
    await slots.acquire("a")
    goes, stays = (asyncio.create_task(acquiring(slots, who, had)) for who in "bc")
    await asyncio.sleep(0)
    slots.release("a")  # to b, which is cancelled before it notices
    goes.cancel()
    await stays
    assert had == ["c"]


async def test_a_write_that_does_not_end_forfeits_its_slot() -> None:
    slots, had = WriteSlots(1, 1), list[str]()
    await slots.acquire("stalled")
    await asyncio.gather(*(acquiring(slots, who, had) for who in "ab"))
    assert had == ["a", "b"]
    slots.release("stalled")
