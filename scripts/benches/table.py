"""The figures as tables for a terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from scripts.benches.run import Figures

COLUMNS = (
    *("\nserver", "comments\n/s", "deliveries\n/s", "\nlost", "\ndoubled", "p50\nms", "p99\nms", "p99.9\nms"),
    *("CPU s\nper M", "RSS a\nviewer"),
)
"""CPU seconds of all the server's processes for a million deliveries; resident memory of the one with the viewers"""


def servers_table(rows: Sequence[Figures], title: str) -> Table:
    """One line for each server and rate, grouped by rate."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    rates = sorted({row.rate for row in rows})
    for rate in rates:
        for row in (row for row in rows if row.rate == rate):
            table.add_row(*_cells(row))
        if rate != rates[-1]:
            table.add_row()
    return table


def _cells(row: Figures) -> list[Text | str]:
    latencies: Iterable[Text | str] = (ms(row.p50_ms), ms(row.p99_ms), ms(row.p999_ms))
    faults = (_fault(row.lost), _fault(row.doubled))
    if row.falls_behind:
        # Its latency grows for as long as one cares to look, and what hasn't come yet isn't lost.
        latencies = (Text("falls", style="yellow"), Text("behind", style="yellow"), "")
        faults = (Text("–"), _fault(row.doubled))
    return [
        row.server,
        f"{row.rate:g}",
        f"{row.deliveries_per_s:,.0f}",
        *faults,
        *latencies,
        f"{row.cpu_s_per_million:.2f}",
        size(row.rss_bytes_per_viewer),
    ]


def _fault(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "")


def ms(value: float) -> str:
    """Three significant digits are more than such a measurement holds."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def size(count: float) -> str:
    """1234 -> '1.2 KB'; in steps of 1024"""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"


def holds(rows: Sequence[Figures]) -> list[str]:
    """The longest time for which a sweep kept all else waiting, by each server that tells"""
    longest = {row.server: 0.0 for row in rows if row.longest_hold_ms}
    for row in rows:
        if row.server in longest:
            longest[row.server] = max(longest[row.server], row.longest_hold_ms)
    return [f"{server}: a sweep held the event loop for {ms(held)} ms at most" for server, held in longest.items()]


def comparisons(rows: Sequence[Figures], ours: str = "rms") -> list[str]:
    """Our p99 against each other server's, at each rate that both keep up with"""
    lines = []
    for mine in (row for row in rows if row.server == ours):
        against = [
            f"{mine.p99_ms / other.p99_ms:.2f} × {other.server}'s"
            for other in rows
            if other.rate == mine.rate and other.server != ours and not other.falls_behind and other.p99_ms
        ]
        if against and not mine.falls_behind:
            lines.append(f"{mine.rate:g} comments/s: p99 is {', '.join(against)}")
    return lines
