"""A contender's run, as small as it can be."""

from scripts.benches.contender import Contender
from scripts.benches.run import Figures, Load, run

LOAD = Load(viewers=50, rate=20, seconds=0.5)


async def assert_delivers_everything(kind: type[Contender]) -> Figures:
    figures = await run(kind, LOAD)
    assert (figures.server, figures.rate, figures.viewers) == (kind.name, 20, 50)
    assert (figures.lost, figures.doubled, figures.ended) == (0, 0, 0)
    assert figures.deliveries_per_s > 0
    assert 0 <= figures.p50_ms <= figures.p99_ms <= figures.p999_ms <= figures.max_ms
    assert figures.rss_end_bytes > 1 << 20
    assert 150 < figures.frame_bytes < 250
    return figures
