"""A line of the history bench's table: what was measured in each run, and what is to be reached."""

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec
from rich.table import Table
from rich.text import Text

from scripts.benches.http_load import LoadFigures


class HistoryFigure(msgspec.Struct, frozen=True):
    """The median of `values` is what counts."""

    what: str
    unit: str  # behind the value: "x", "%", "/s", "ms"
    values: list[float]  # of all runs
    at_least: float | None = None
    at_most: float | None = None
    beside: str = ""  # what else belongs to it: the two numbers of a ratio, a percentile

    @property
    def median(self) -> float:
        return float(median(self.values))

    @property
    def is_reached(self) -> bool:
        """True also where nothing is to be reached."""
        return (self.at_least is None or self.median >= self.at_least) and (
            self.at_most is None or self.median <= self.at_most
        )

    @property
    def reach(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        return "stated" if self.at_most is None else f"≤ {self.at_most:g} {self.unit}"


Pair = tuple[LoadFigures, LoadFigures]
"""The least that answers, and ours, one after the other under the same load"""


def shares(what: str, pairs: Sequence[Pair], at_least: float | None) -> list[HistoryFigure]:
    """What ours reaches of the least: in requests/s, and by what the server's own process needs for one.

    Where both cores are full, requests/s count the asker, the store and the dispatcher as well; the CPU doesn't.
    """
    by_rate = [100 * ours.per_s / least.per_s for least, ours in pairs]
    by_cpu = [100 * least.cpu_us["service"] / ours.cpu_us["service"] for least, ours in pairs]
    beside = f"{loads(ours for _, ours in pairs)}; beside {loads(least for least, _ in pairs)}"
    return [
        HistoryFigure(f"{what}: requests/s", "%", by_rate, at_least=at_least, beside=beside),
        HistoryFigure(f"{what}: by the server's CPU", "%", by_cpu),
    ]


def loads(runs: Iterable[LoadFigures]) -> str:
    """The medians: '9,100/s, p99 31 ms, CPU for each: service 90, dispatcher 9, asker 14 µs'"""
    figures = list(runs)
    cpu_us = {name: median(each.cpu_us[name] for each in figures) for name in figures[0].cpu_us}
    cpu_us["asker"] = median(each.own_cpu_us for each in figures)
    per_s, p99_ms = median(each.per_s for each in figures), median(each.p99_ms for each in figures)
    words = ", ".join(f"{name} {value:.0f}" for name, value in cpu_us.items())
    return f"{number(per_s)}/s, p99 {p99_ms:.0f} ms, CPU for each: {words} µs"


def figures_table(figures: Sequence[HistoryFigure], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("what")
    for name in ("reach", "measured", "runs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("beside")
    for figure in figures:
        style = "" if figure.reach == "stated" else "green" if figure.is_reached else "bold red"
        runs = " ".join(number(value) for value in figure.values)
        measured = Text(f"{number(figure.median)} {figure.unit}", style=style)
        table.add_row(figure.what, figure.reach, measured, runs, figure.beside)
    return table


def number(value: float) -> str:
    """Three significant digits are more than such a measurement holds."""
    if value >= 1_000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"
