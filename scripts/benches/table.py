"""Shows figures as tables for a terminal: medians of several runs, with what is to be reached."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = Text | str


def console(*, stderr: bool = False) -> Console:
    """One that neither highlights nor wraps"""
    return Console(highlight=False, soft_wrap=True, stderr=stderr)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """The first column is words and may wrap, the others are numbers. An empty row parts the rows around it."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        made.add_row(*row)
    return made


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, as it was measured in each run; the median counts."""

    what: str
    unit: str  # behind the value: "x", "%", "/s", "ms"
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None
    beside: str = ""  # what else belongs to it: the two numbers of a ratio, a percentile

    @property
    def median(self) -> float:
        return float(median(self.values))

    @property
    def is_reached(self) -> bool:
        """True also where nothing is to be reached"""
        least, most = self.at_least, self.at_most
        return (least is None or self.median >= least) and (most is None or self.median <= most)

    @property
    def reach(self) -> str:
        if self.at_least is not None:
            return f"≥ {number(self.at_least)} {self.unit}"
        return "stated" if self.at_most is None else f"≤ {number(self.at_most)} {self.unit}"

    def row(self) -> Sequence[Cell]:
        style = "" if self.reach == "stated" else "green" if self.is_reached else "bold red"
        measured = Text(f"{number(self.median)} {self.unit}", style=style)
        return (self.what, self.reach, measured, " ".join(map(number, self.values)))


def joined(figures: Iterable[Figure]) -> list[Figure]:
    """Those of several runs: one for each `what`, with the values of all"""
    by_what: dict[str, Figure] = {}
    for figure in figures:
        known = by_what.setdefault(figure.what, replace(figure, values=()))
        by_what[figure.what] = replace(known, values=(*known.values, *figure.values))
    return list(by_what.values())


def show_figures(figures: Sequence[Figure], title: str) -> None:
    """A table of them, and below it what stands beside each"""
    out = console()
    out.print(table(title, ("what", "reach", "measured", "runs"), (figure.row() for figure in figures)))
    for figure in figures:
        if figure.beside:
            out.print(f"{figure.what}: {figure.beside}")


def number(value: float) -> str:
    """Three significant digits; more than that, such a measurement doesn't hold."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 1_000 else f"{value:.3g}"


def ms(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def size(count: float) -> str:
    """1234 -> '1.2 KB'; in steps of 1024"""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"
