"""scripts/benches/pairs.py"""

from scripts.benches.pairs import Pair, gzip_line, gzip_loads, slow_line, slow_loads
from scripts.benches.run import Load
from scripts.benches.schedule import Line
from tests.scripts.benches.figures import FIGURES, like

LOAD = Load(viewers=100, rate=5, seconds=1)


def test_the_readers_are_the_same_with_and_without_slow_ones() -> None:
    alone, beside = slow_loads(LOAD, 10)
    assert (alone.viewers, alone.idle) == (90, 0)
    assert (beside.viewers, beside.idle) == (90, 10)


def test_the_words_are_the_same_plain_and_packed() -> None:
    plain, packed = gzip_loads(LOAD, [Line("ann", "hi")])
    assert plain.lines == packed.lines == (Line("ann", "hi"),)
    assert (plain.gzip, packed.gzip) == (False, True)


def test_a_pair_is_told_in_one_line() -> None:
    slow = slow_line(Pair(FIGURES, like(idle=1_000, p99_ms=132.0, rss_end_bytes=90 << 20)))
    assert slow.startswith("1,000 who never read beside 10,000, 20 comments/s: the others' p99 120 → 132 ms (1.10 ×)")
    packed = gzip_line(Pair(FIGURES, like(gzip=True, frame_bytes=101.0, cpu_s_per_million=1.5)))
    assert "202 → 101 bytes a delivery (50%), server's CPU 1.20 ×" in packed


def test_nothing_can_be_compared_with_nothing() -> None:
    assert Pair(like(p99_ms=0.0), FIGURES).ratio("p99_ms") == 0
