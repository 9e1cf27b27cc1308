"""The highest rate that a server sustains: upwards in steps until one fails, then closer from both sides."""

from collections.abc import Awaitable, Callable

from scripts.benches.config import BENCH, BenchSettings

Sustains = Callable[[float], Awaitable[bool]]


async def highest(sustains: Sustains, first: float, settings: BenchSettings = BENCH) -> float:
    """In comments/s, to `search_precision`; 0 if even a 64th of `first` isn't sustained."""
    low, high = 0.0, first
    while high <= settings.search_rate_max and await sustains(high):
        low, high = high, high * settings.search_factor
    lowest = first / 64
    while high - low > settings.search_precision * high and high > lowest:
        middle = (low + high) / 2
        if await sustains(middle):
            low = middle
        else:
            high = middle
    return low


async def majority(once: Callable[[], Awaitable[bool]], votes: int) -> bool:
    """Of so many runs, ended as soon as it is decided."""
    yes = no = 0
    while 2 * max(yes, no) <= votes:
        if await once():
            yes += 1
        else:
            no += 1
    return yes > no
