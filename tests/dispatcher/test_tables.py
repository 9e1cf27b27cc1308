"""dispatcher/tables.py: numbers and durations as people read them; the tables are tested in test_topology.py."""

import pytest

from dispatcher.tables import duration


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (3200, "3.2 s"),
        (119_000, "119 s"),
        (300_000, "5 min"),
        (27_000_000, "7.5 h"),
        (10**9, "11 d"),
    ],
)
def test_durations(ms: int, text: str) -> None:
    assert duration(ms) == text
