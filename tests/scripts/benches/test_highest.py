"""scripts/benches/highest.py, on servers that know what they sustain"""

from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from scripts.benches.config import BenchSettings
from scripts.benches.highest import highest, majority

SETTINGS = BenchSettings(search_precision=0.05, search_rate_max=1_000)


@given(limit=st.floats(1, 1_000), first=st.floats(1, 50))
async def test_the_limit_is_found_to_the_precision(limit: float, first: float) -> None:
    tried: list[float] = []

    async def sustains(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = await highest(sustains, first, SETTINGS)
    assert found <= limit
    assert found >= limit * 0.95 or found >= 500
    assert len(tried) <= 20


async def test_a_server_that_sustains_nothing_ends_the_search() -> None:
    async def never(rate: float) -> bool:
        return False

    assert await highest(never, 5, SETTINGS) == 0


async def test_a_majority_ends_as_soon_as_it_is_decided() -> None:
    asked: list[bool] = []

    async def once() -> bool:
        asked.append(next(answers))
        return asked[-1]

    answers = cycle([True])
    assert await majority(once, 3)
    assert asked == [True, True]
    asked.clear()
    answers = cycle([True, False, False])
    assert not await majority(once, 3)
    assert asked == [True, False, False]
