"""Figures, their medians, and whether they are reached"""

from rich.console import Console

from scripts.benches.history_figures import HistoryFigure, figures_table, loads, number, shares
from scripts.benches.http_load import LoadFigures


def a_load(per_s: float, cpu_us: float) -> LoadFigures:
    return LoadFigures(100, 0, per_s, 1.0, 2.0, 3.0, 10.0, {"service": cpu_us})


def test_the_median_counts() -> None:
    figure = HistoryFigure("a", "x", [9, 30, 11], at_least=10)
    assert (figure.median, figure.is_reached, figure.reach) == (11, True, "≥ 10 x")
    assert not HistoryFigure("a", "x", [9, 9, 11], at_least=10).is_reached
    assert HistoryFigure("a", "", [9, 30, 11], at_most=12).is_reached
    assert not HistoryFigure("a", "", [13], at_most=12).is_reached
    assert (HistoryFigure("a", "/s", [1]).is_reached, HistoryFigure("a", "/s", [1]).reach) == (True, "stated")


def test_shares_are_of_the_same_run() -> None:
    pairs = [(a_load(100, 50), a_load(60, 100)), (a_load(200, 50), a_load(140, 80)), (a_load(100, 50), a_load(90, 40))]
    by_rate, by_cpu = shares("posts", pairs, 60)
    assert (by_rate.values, by_rate.at_least) == ([60, 70, 90], 60)
    assert (by_cpu.values, by_cpu.at_least) == ([50, 62.5, 125], None)
    assert loads(ours for _, ours in pairs) == "90/s, p99 2 ms, CPU for each: service 80, asker 10 µs"


def test_the_table_shows_what_was_missed() -> None:
    console = Console(width=200, record=True, file=None, quiet=True)
    console = Console(width=200, record=True)
    with console.capture() as shown:
        console.print(figures_table([HistoryFigure("posts", "%", [50, 70, 55], at_least=60, beside="so")], "machine"))
    assert "≥ 60 %" in shown.get()
    assert "55 %" in shown.get()
    assert "50 70 55" in shown.get()


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (0.1234, 12.34, 123.4, 12345.6)] == ["0.123", "12.3", "123", "12,300"]
