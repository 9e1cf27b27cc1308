"""rms/sending/audience.py: when streams end by themselves. What else is there is in test_sweep.py."""

from hypothesis import given
from hypothesis import strategies as st

from rms.sending.audience import stream_ends_ms


@given(st.integers(1, 100_000), st.integers(0, 1 << 40))
def test_a_stream_ends_between_half_and_all_of_its_age(age_s: int, now_ms: int) -> None:
    ends_ms = stream_ends_ms(age_s, now_ms)
    assert ends_ms is not None
    assert age_s * 500 <= ends_ms - now_ms <= age_s * 1_000


def test_those_that_come_together_end_apart() -> None:
    ends = [stream_ends_ms(3_600, 0) or 0 for _ in range(1_000)]
    in_each = [sum(begin <= each < begin + 180_000 for each in ends) for begin in range(1_800_000, 3_600_000, 180_000)]
    assert min(in_each) > 50, "100 of them, more or less, in each tenth of the time"


def test_without_an_age_none_ends() -> None:
    assert stream_ends_ms(0, 5) is None
