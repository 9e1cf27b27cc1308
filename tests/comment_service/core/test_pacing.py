"""comment_service/core/pacing.py: healthy nodes get something as long as a dispatcher may wait for a late one"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comment_service.config import Config
from comment_service.core.pacing import Pacing
from dispatcher.config import Config as DispatcherConfig

PACING = Config.parse(()).publish_settings().pacing
LATE_MS_MAX = DispatcherConfig.model_validate({}).ack_ms_max


def pauses(pacing: Pacing) -> list[float]:
    """After each batch of a window, of which none is answered"""
    return [pacing.pause_ms(unanswered) for unanswered in range(1, pacing.batches_max + 1)]


def test_the_window_lasts_longer_than_a_dispatcher_waits_for_a_node() -> None:
    assert sum(pauses(PACING)) > LATE_MS_MAX


def test_no_viewer_waits_for_more_than_about_a_second() -> None:
    assert max(pauses(PACING)) <= 1_050


def test_nodes_that_gather_acknowledgements_for_half_a_second_make_no_long_pause() -> None:
    passed_ms, longest_ms = 0.0, 0.0
    for pause_ms in pauses(PACING):
        if passed_ms < 520:
            passed_ms, longest_ms = passed_ms + pause_ms, pause_ms
    assert longest_ms < 150


def test_a_full_window_waits_for_its_answer_only() -> None:
    assert PACING.pause_ms(PACING.batches_max) == 0


@given(st.integers(0, 100), st.integers(1, 200), st.integers(0, 20_000))
def test_the_window_lasts_as_long_as_it_is_said_to(after: int, batches_max: int, window_ms: int) -> None:
    pacing = Pacing(after, batches_max, window_ms)
    made = pauses(pacing)
    assert sum(made) == pytest.approx(window_ms if batches_max > after + 1 else 0)
    growing = made[:-1]
    assert growing == sorted(growing)
    assert not any(made[:after])


def test_a_window_without_room_for_pauses_has_none() -> None:
    for batches_max in (1, 2, 3):
        assert [Pacing(2, batches_max, 1_000).pause_ms(unanswered) for unanswered in range(5)] == [0] * 5
    assert [Pacing(2, 4, 1_000).pause_ms(unanswered) for unanswered in range(6)] == [0, 0, 0, 1_000, 0, 0]
