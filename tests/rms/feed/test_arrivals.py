"""rms/feed/arrivals.py: however the clock is set, what has come is as old as it is"""

from hypothesis import given
from hypothesis import strategies as st

from rms.feed.arrivals import STEP_MS_MAX, Arrivals
from rms.feed.entry import FeedLimits
from rms.feed.feed import Feed
from tests.rms.parts import T0, comment, event

HOUR_MS = 3_600_000
SOME_STEPS = st.lists(st.tuples(st.integers(0, STEP_MS_MAX), st.booleans()), max_size=20)


@given(SOME_STEPS, st.sampled_from([-HOUR_MS, HOUR_MS, 24 * HOUR_MS]), st.integers(0, 20))
def test_ages_follow_the_time_and_not_the_clock(steps: list[tuple[int, bool]], set_by_ms: int, at_step: int) -> None:
    """A step that the clock is set by counts as STEP_MS_MAX at most."""
    arrivals, came_ms, true_ms, wrong_ms = Arrivals(T0), [], T0, 0
    for number, (step_ms, adds) in enumerate(steps):
        true_ms += step_ms
        wrong_ms += set_by_ms * (number == at_step)
        if adds:
            arrivals.add(true_ms + wrong_ms)
            came_ms.append(true_ms)
        else:
            arrivals.note(true_ms + wrong_ms)
    for index, at_ms in enumerate(came_ms):
        age_ms = true_ms + wrong_ms - arrivals[index]
        assert abs(age_ms - (true_ms - at_ms)) <= STEP_MS_MAX


def test_a_log_is_kept_when_the_clock_is_set_forwards_and_goes_when_it_is_set_back() -> None:
    feed = Feed(FeedLimits(1 << 20, 600_000, 1, 100, 60_000), [], 0, T0)
    for number in range(10):
        feed.append(event(comment(number)), T0 + number)
    feed.trim(T0 + HOUR_MS)
    assert len(feed) == 10
    feed.trim(T0 + 1_000)
    for minute in range(12):
        feed.trim(T0 + 1_000 + minute * STEP_MS_MAX)
    assert len(feed) == 1
