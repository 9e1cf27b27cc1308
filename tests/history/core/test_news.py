"""history/core/news.py: nothing that was announced lies between two questions, however clocks are set"""

from hypothesis import given
from hypothesis import strategies as st

from history.core.news import ask_from

OVERLAP_MS = 30_000


@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(-7_200_000, 7_200_000)), min_size=1))
def test_every_time_is_asked_for_by_a_clock_that_is_right_in_the_end(steps: list[tuple[int, int]]) -> None:
    """steps: the time until the next question, and how wrong the clock is then"""
    now_ms = asked_ms = 1_000_000_000
    unread_ms = now_ms  # announcements from here on were in no answer
    for step_ms, wrong_ms in [*steps, (1, 0)]:
        now_ms += step_ms
        if ask_from(asked_ms, now_ms + wrong_ms, OVERLAP_MS) <= unread_ms:
            unread_ms = now_ms
        asked_ms = now_ms + wrong_ms
    assert unread_ms == now_ms
