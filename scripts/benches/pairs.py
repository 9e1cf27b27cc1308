"""Our own server under two loads that differ in one thing: others beside the readers who never read, or compression."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from scripts.benches.run import Figures, Load
from scripts.benches.schedule import Line
from scripts.benches.table import ms, size


class Pair(msgspec.Struct, frozen=True):
    without: Figures
    beside: Figures  # the same with it

    def ratio(self, name: str) -> float:
        """Of a figure: with to without; 0 if there is nothing to compare"""
        without = float(getattr(self.without, name))
        return float(getattr(self.beside, name)) / without if without else 0.0


def slow_loads(load: Load, slow: int) -> tuple[Load, Load]:
    """The same readers, alone, and with `slow` others who ask for the stream and never read"""
    alone = replace(load, viewers=load.viewers - slow)
    return alone, replace(alone, idle=slow)


def gzip_loads(load: Load, lines: Sequence[Line]) -> tuple[Load, Load]:
    """What real people said, plain and compressed"""
    plain = replace(load, lines=tuple(lines))
    return plain, replace(plain, gzip=True)


def slow_line(pair: Pair) -> str:
    without, beside = pair.without, pair.beside
    return (
        f"{beside.idle:,} who never read beside {beside.viewers:,}, {beside.rate:g} comments/s: the others' p99 "
        f"{ms(without.p99_ms)} → {ms(beside.p99_ms)} ms ({pair.ratio('p99_ms'):.2f} ×), RSS "
        f"{size(without.rss_end_bytes)} → {size(beside.rss_end_bytes)}, TCP buffers {size(without.tcp_bytes)} → "
        f"{size(beside.tcp_bytes)}, lost={beside.lost} doubled={beside.doubled}"
    )


def gzip_line(pair: Pair) -> str:
    without, beside = pair.without, pair.beside
    return (
        f"gzip, {beside.rate:g} comments/s: {without.frame_bytes:.0f} → {beside.frame_bytes:.0f} bytes a delivery "
        f"({pair.ratio('frame_bytes'):.0%}), server's CPU {pair.ratio('cpu_s_per_million'):.2f} ×, viewers' CPU "
        f"{pair.ratio('viewers_cpu_s_per_million'):.2f} ×, p99 "
        f"{ms(without.p99_ms)} → {ms(beside.p99_ms)} ms, lost={beside.lost} doubled={beside.doubled}"
    )
