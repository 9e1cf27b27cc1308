"""scripts/benches/silence.py: the longest stretch in which nothing came"""

import pytest

from scripts.benches.silence import longest_silence_s


@pytest.mark.parametrize(
    ("arrivals_s", "silence_s"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 1),
        ([1, 2, 3, 6, 7, 8], 3),
        ([1, 6, 7, 8], 5),  # it was under way when the window began
        ([3, 4, 5, 6, 20], 1),  # what comes after the window has another cause
        ([1, 20], 6),
        ([], 4),
        ([20], 4),
    ],
)
def test_the_longest_one(arrivals_s: list[float], silence_s: float) -> None:
    assert longest_silence_s(arrivals_s, from_s=3, to_s=7) == silence_s
