"""scripts/bench edge: a small run of both parts, and the words of its tables"""

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from scripts.benches import edge as edge_bench
from scripts.benches.attack_mixes import MIXES, Mix
from scripts.benches.attacker import Attacker, Seen
from scripts.benches.attacks import Attacked, attacks, is_back, left, noticed
from scripts.benches.config import EDGE, EDGE_QUICK
from scripts.benches.edge import Contender, Cost, Form, contenders, costs_table, middle
from scripts.benches.edge_system import DIRECT, State, lacks
from scripts.benches.running import BenchFailed, run_bench
from tests.scripts.benches.fake_server import HEAD, FakeServer
from tests.scripts.benches.figures import FIGURES, like

TINY = replace(EDGE_QUICK, crowd=5, files_spare=10)


@pytest.mark.timeout(120)  # seven processes start, on a machine that may be busy
def test_costs_are_measured_behind_a_real_balancer(capsys: pytest.CaptureFixture[str]) -> None:
    form = Form(parts=["cost"], viewers=[9], fronts=[DIRECT, "nginx"], repeats=1)
    assert run_bench(edge_bench.edge(form, TINY)) == 0
    captured = capsys.readouterr()
    rows = [line.split() for line in captured.out.splitlines() if line.startswith(("none,", "nginx,"))]
    # Placed, all are on one node; each of three nodes has a third; nothing is lost or doubled.
    assert [row[:6] for row in rows] == [
        ["none,", "1", "9", "9", "0", "0"],
        ["none,", "3", "9", "3", "0", "0"],
        ["nginx,", "hash", "9", "9", "0", "0"],
        ["nginx,", "placed", "9", "9", "0", "0"],
    ]
    assert [len(row) for row in rows] == [9, 9, 10, 10], "only a balancer has its CPU"
    assert "GiB" in captured.out


@pytest.mark.timeout(120)
async def test_attacks_leave_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    settings = replace(TINY, attack_share=0.1)
    assert await attacks(DIRECT, ["readers", "headers"], 1, settings)
    out = capsys.readouterr().out
    assert "lost=0 doubled=0 ended=0" in out
    seats = [line.split()[2:5] for line in out.splitlines() if line.startswith("slow readers")]
    assert seats[1] == ["5", "55", "5"], "they had seats, and have none"


async def test_an_attacker_counts_what_it_sees() -> None:
    mix = replace(MIXES["reconnects"], per_s=1e6, open_max=4)
    async with FakeServer([], head=HEAD.replace(b"200 OK", b"429 Slow") + b"\r\n") as server:
        seen = await run_attacker(mix, server.port)
    assert seen.statuses["429"] >= 4
    assert seen.statuses["429"] + seen.open == seen.began
    async with FakeServer([], head=b"", ends=True) as server:
        assert (await run_attacker(mix, server.port)).statuses["cut"] >= 4
    assert (await run_attacker(mix, server.port)).statuses.keys() <= {"cut", "unreachable"}


async def run_attacker(mix: Mix, port: int) -> Seen:
    """Until it has seen some answers"""
    attacker, ticks = Attacker(mix, port), itertools.count()

    def now_s() -> float:
        return next(ticks) / 1e6 if attacker.statuses.total() < 4 else 1e9

    try:
        return await asyncio.to_thread(attacker.attack, 1e6, now_s)
    finally:
        attacker.close()


BEFORE, DURING, AFTER = State(500, 90, 300 << 20), State(700, 490, 310 << 20), State(500, 91, 305 << 20)
SEEN = Seen(2_000, 10, {"429": 1_500, "503": 20, "502": 1, "cut": 7, "200": 3}, 1.0)
ONE = Attacked("idle", 10.0, 11.0, SEEN, (BEFORE, DURING, AFTER), 1.25, 0.5)


def words(cells: object) -> list[str]:
    assert isinstance(cells, list)
    return [cell.plain if isinstance(cell, Text) else cell for cell in cells]


def test_what_a_crowd_notices_stands_in_the_table() -> None:
    runs = [ONE, replace(ONE, with_ms=14.0), replace(ONE, with_ms=50.0)]
    assert words(noticed(runs)) == ["10", "14", "1.40 ×", "6,000", "4,500", "60", "3", "21", "250"]
    assert words(noticed([replace(ONE, without_ms=0.0)]))[2] == "0.00 ×"


def test_what_is_left_stands_in_the_table() -> None:
    assert words(left([replace(ONE, back_s=3.0), ONE])) == ["500 700 500", "90 490 91", "300 MB 310 MB 305 MB", "3.0 s"]
    assert words(left([replace(ONE, back_s=None), ONE]))[-1] == "not"


def test_back_is_where_it_was_at_first() -> None:
    assert is_back(AFTER, BEFORE, EDGE)
    assert not is_back(BEFORE._replace(seats=BEFORE.seats + 1), BEFORE, EDGE)
    assert not is_back(BEFORE._replace(files=BEFORE.files + EDGE.files_spare + 1), BEFORE, EDGE)


def test_both_ways_of_each_balancer_are_compared() -> None:
    names = [each.name for each in contenders([DIRECT, "envoy"], 3)]
    assert names == ["none, 1", "none, 3", "envoy, hash", "envoy, placed"]


def cost(name: str, **changes: Any) -> Cost:
    return Cost(like(server=name, **changes), 500, 2.5)


def test_costs_are_grouped_by_load_and_fit_a_narrow_terminal() -> None:
    rows = [cost("none, 3"), cost("haproxy, placed", lost=12_345), cost("none, 3", rate=5.0, falls_behind=True)]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(costs_table(rows, "the title"))
    lines = [line.split() for line in capture.get().splitlines()]
    assert lines[3:5] == [
        ["none,", "3", "10,000", "500", "0", "0", "40", "120", "1.25"],
        ["haproxy,", "placed", "10,000", "500", "12,345", "0", "40", "120", "1.25", "2.50"],
    ]
    assert lines[5] == []
    assert lines[6][6:8] == ["falls", "behind"]


def test_medians_count_and_the_worst_loss() -> None:
    runs = [Cost(replace(FIGURES, lost=lost), lost, lost) for lost in (0, 7, 1)]
    assert (middle(runs).figures.lost, middle(runs).busiest, middle(runs).balancer_cpu_s_per_million) == (7, 1, 1)


def test_what_is_missing_or_fails_does_not_end_the_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.benches.edge_system.find", lambda name: None)
    assert lacks(DIRECT) == ""

    async def measure(system: object, contender: Contender, load: object, video: str, settings: object) -> Cost:
        if contender.nodes == 1:
            raise BenchFailed("9 of 9 viewers did not get a stream")
        return cost(contender.name)

    monkeypatch.setattr("scripts.benches.edge.measure", measure)
    form = Form(parts=["cost"], viewers=[9], fronts=[DIRECT, "envoy"], repeats=1)
    assert run_bench(edge_bench.edge(form, TINY)) == 1
    captured = capsys.readouterr()
    assert "envoy is left out: envoy is missing" in captured.err
    assert "9 of 9 viewers did not get a stream" in captured.err
    assert "none, 3" in captured.out
