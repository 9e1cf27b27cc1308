"""dispatcher/streams/turns.py: a few at once, in order, and who keeps its turn for too long loses it to those
who wait."""

import asyncio

from dispatcher.streams.turns import Turns
from tests.waiting import eventually

FOR_EVER_MS = 600_000


async def taking(turns: Turns, who: str, had: list[str]) -> None:
    await turns.take(who)
    had.append(who)


async def test_as_many_as_may_and_then_in_order() -> None:
    turns, had = Turns(2, FOR_EVER_MS), list[str]()
    tasks = [asyncio.create_task(taking(turns, who, had)) for who in "abcd"]
    await eventually(lambda: len(had) == 2)
    assert had == ["a", "b"]
    turns.give_back("b")
    await eventually(lambda: len(had) == 3)
    assert had == ["a", "b", "c"]
    turns.give_back("a")
    await asyncio.gather(*tasks)
    assert had == ["a", "b", "c", "d"]


async def test_a_turn_given_back_twice_counts_once() -> None:
    turns, had = Turns(1, FOR_EVER_MS), list[str]()
    await turns.take("a")
    turns.give_back("a")
    turns.give_back("a")
    tasks = [asyncio.create_task(taking(turns, who, had)) for who in "bc"]
    await eventually(lambda: had == ["b"])
    turns.give_back("b")
    await asyncio.gather(*tasks)


async def test_who_goes_while_waiting_leaves_its_turn_to_the_next() -> None:
    turns, had = Turns(1, FOR_EVER_MS), list[str]()
    await turns.take("a")
    goes, stays = (asyncio.create_task(taking(turns, who, had)) for who in "bc")
    await asyncio.sleep(0)
    turns.give_back("a")  # to b, which is cancelled before it notices
    goes.cancel()
    await stays
    assert had == ["c"]


async def test_a_write_that_does_not_end_forfeits_its_turn() -> None:
    turns, had = Turns(1, 1), list[str]()
    await turns.take("stalled")
    await asyncio.gather(*(taking(turns, who, had) for who in "ab"))
    assert had == ["a", "b"]
    turns.give_back("stalled")
