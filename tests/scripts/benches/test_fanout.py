"""scripts/bench fanout: the whole command with few viewers, and its words"""

from dataclasses import replace

import pytest
from rich.console import Console

from scripts.benches.fanout import Fanout, Form, comparisons, gzip_line, servers_table, slow_line
from scripts.benches.run import Figures, Load
from scripts.benches.running import BenchFailed, run_bench
from scripts.benches.schedule import Line
from tests.scripts.benches.figures import FIGURES, LOAD, like

FEW = Form(viewers=40, rates=[10], seconds=0.3, repeats=1)


def test_everything_is_measured_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    form = replace(FEW, peers=["c"], slow=10, gzip=[Line("ann", "hi")])
    assert run_bench(Fanout(form).run()) == 0
    captured = capsys.readouterr()
    assert "40 viewers of one video" in captured.out
    rows = [line.split() for line in captured.out.splitlines() if line[:4] in ("rms ", "c   ")]
    assert [(row[0], row[1], row[4]) for row in rows] == [("rms", "10", "0"), ("c", "10", "0")]  # nothing is doubled
    assert "10 who never read beside 30" in captured.out
    assert "gzip, 10 comments/s: " in captured.out
    assert "GiB" in captured.out
    assert captured.err.count("run 1 of 1") == 6


def pretend(sustained: dict[str, float]) -> object:
    """Nothing is started; each server sustains so many comments/s, and one that isn't named breaks."""

    async def run(name: str, load: Load) -> Figures:
        if name not in sustained:
            raise BenchFailed("40 of 40 viewers did not get a stream")
        arrive = min(load.rate, sustained[name])
        per_s = arrive * load.viewers
        return like(server=name, load=load, falls_behind=arrive < load.rate, deliveries_per_s=per_s)

    return run


def test_a_peer_that_is_missing_or_breaks_does_not_end_the_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.benches.fanout.run", pretend({"rms": 100}))
    monkeypatch.setattr("scripts.benches.fanout.lacks", lambda name: "it is missing" if name == "nchan" else "")
    assert run_bench(Fanout(replace(FEW, peers=["nchan", "naive"])).run()) == 0
    captured = capsys.readouterr()
    assert "nchan is left out: it is missing" in captured.err
    assert "40 of 40 viewers did not get a stream" in captured.err
    assert "rms" in captured.out


def test_what_ours_loses_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(name: str, load: Load) -> Figures:
        return like(server=name, load=load, lost=1)

    monkeypatch.setattr("scripts.benches.fanout.run", run)
    assert run_bench(Fanout(FEW).run()) == 1


def rendered(*rows: Figures) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(servers_table(rows, "the title"))
    return capture.get().splitlines()


def test_every_figure_stands_in_the_table() -> None:
    lines = rendered(FIGURES, like(server="c", p99_ms=100.0, cpu_s_per_million=0.9))
    assert "the title" in lines[0]
    row = next(line for line in lines if line.startswith("rms"))
    assert row.split() == ["rms", "20", "198,000", "0", "0", "40", "120", "150", "1.25", "205", "B"]
    assert next(line for line in lines if line.startswith("c ")).split()[-3:] == ["0.90", "205", "B"]


def test_it_fits_a_narrow_terminal() -> None:
    widest = like(server="nchan", deliveries_per_s=1_234_567.0, lost=99_999, rss_bytes_per_viewer=28_000.0)
    assert not any("…" in line for line in rendered(widest))


def test_rates_are_grouped() -> None:
    rows = [like(rate=100.0), like(rate=5.0), like(rate=5.0, server="c")]
    starts = [line.split()[:2] for line in rendered(*rows) if line[:3] in ("rms", "c  ")]
    assert starts == [["rms", "5"], ["c", "5"], ["rms", "100"]]


def test_who_falls_behind_has_no_latency() -> None:
    (row,) = [line for line in rendered(like(falls_behind=True, lost=7)) if line[:3] == "rms"]
    assert row.split()[2:7] == ["198,000", "–", "0", "falls", "behind"]


def test_ours_is_compared_with_all_who_keep_up() -> None:
    rows = [FIGURES, like(server="c", p99_ms=100.0), like(server="nchan", falls_behind=True), like(rate=100.0)]
    assert comparisons(rows) == ["20 comments/s: p99 is 1.20 × c's"]


def test_a_pair_is_told_in_one_line() -> None:
    slow = slow_line(FIGURES, like(load=replace(LOAD, idle=1_000), p99_ms=132.0, rss_end_bytes=90 << 20))
    assert slow.startswith("1,000 who never read beside 10,000, 20 comments/s: the others' p99 120 → 132 ms (1.10 ×)")
    packed = gzip_line(FIGURES, like(frame_bytes=101.0, cpu_s_per_million=1.5))
    assert "202 → 101 bytes a delivery (50%), server's CPU 1.20 ×" in packed
    assert "(0.00 ×)" in slow_line(like(p99_ms=0.0), FIGURES)
