"""Figures, their medians, and whether they are reached; numbers that are short"""

import pytest

from scripts.benches.table import Figure, joined, ms, number, show_figures, size


def test_the_median_counts() -> None:
    figure = Figure("a", "x", [9, 30, 11], at_least=10)
    assert (figure.median, figure.is_reached, figure.reach) == (11, True, "≥ 10 x")
    assert not Figure("a", "x", [9, 9, 11], at_least=10).is_reached
    assert Figure("a", "", [9, 30, 11], at_most=12).is_reached
    assert not Figure("a", "", [13], at_most=12).is_reached
    assert (Figure("a", "/s", [1]).is_reached, Figure("a", "/s", [1]).reach) == (True, "stated")


def test_the_table_shows_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    show_figures([Figure("posts", "%", [50, 70, 55], at_least=60, beside="so much")], "machine")
    shown = capsys.readouterr().out
    for words in ("machine", "≥ 60 %", "55 %", "50 70 55", "posts: so much"):
        assert words in shown


def test_runs_are_joined_by_what_was_measured() -> None:
    runs = [Figure("a", "ms", [1]), Figure("b", "s", [5], at_most=9), Figure("a", "ms", [3])]
    assert joined(runs) == [Figure("a", "ms", (1, 3)), Figure("b", "s", (5,), at_most=9)]


def test_sizes_numbers_and_milliseconds_are_short() -> None:
    assert [size(count) for count in (0, 205, 1234, 10_240, 300 << 10, 61 << 20, 3 << 30)] == [
        *("0 B", "205 B", "1.2 KB", "10.0 KB", "300 KB", "61.0 MB", "3.0 GB"),
    ]
    assert [ms(value) for value in (0.04, 9.94, 12.4, 1234.0)] == ["0.0", "9.9", "12", "1,234"]
    assert [number(value) for value in (0.1234, 12.34, 123.4, 12345.6)] == ["0.123", "12.3", "123", "12,300"]
