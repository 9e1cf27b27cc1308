"""scripts/benches/table.py"""

from rich.console import Console

from scripts.benches.table import comparisons, ms, servers_table, size
from tests.scripts.benches.figures import FIGURES, like


def rendered(*rows: object) -> list[str]:
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(*rows)
    return capture.get().splitlines()


def test_every_figure_stands_in_the_table() -> None:
    lines = rendered(servers_table([FIGURES, like(server="c", p99_ms=100.0, cpu_s_per_million=0.9)], "the title"))
    assert "the title" in lines[0]
    row = next(line for line in lines if line.startswith("rms"))
    assert row.split() == ["rms", "20", "198,000", "0", "0", "40", "120", "150", "1.25", "205", "B"]
    assert next(line for line in lines if line.startswith("c ")).split()[-3:] == ["0.90", "205", "B"]


def test_it_fits_a_narrow_terminal() -> None:
    widest = like(server="starlette", deliveries_per_s=1_234_567.0, lost=99_999, rss_bytes_per_viewer=28_000.0)
    assert not any("…" in line for line in rendered(servers_table([widest], "t")))


def test_rates_are_grouped() -> None:
    rows = [like(rate=100.0), like(rate=5.0), like(rate=5.0, server="c")]
    starts = [line.split()[:2] for line in rendered(servers_table(rows, "t")) if line[:3] in ("rms", "c  ")]
    assert starts == [["rms", "5"], ["c", "5"], ["rms", "100"]]


def test_who_falls_behind_has_no_latency() -> None:
    (row,) = [line for line in rendered(servers_table([like(falls_behind=True, lost=7)], "t")) if line[:3] == "rms"]
    assert row.split()[2:7] == ["198,000", "–", "0", "falls", "behind"]


def test_ours_is_compared_with_all_who_keep_up() -> None:
    rows = [FIGURES, like(server="c", p99_ms=100.0), like(server="nchan", falls_behind=True), like(rate=100.0)]
    assert comparisons(rows) == ["20 comments/s: p99 is 1.20 × c's"]


def test_sizes_and_milliseconds_are_short() -> None:
    assert [size(count) for count in (0, 205, 1234, 10_240, 300 << 10, 61 << 20, 3 << 30)] == [
        *("0 B", "205 B", "1.2 KB", "10.0 KB", "300 KB", "61.0 MB", "3.0 GB"),
    ]
    assert [ms(value) for value in (0.04, 9.94, 12.4, 1234.0)] == ["0.0", "9.9", "12", "1,234"]
