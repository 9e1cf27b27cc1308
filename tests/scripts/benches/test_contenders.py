"""scripts/benches/contenders.py: every server that can be had here runs, and is measured without a fault."""

import pytest

from scripts.benches.contenders import CONTENDERS
from scripts.benches.run import Load, run

LOAD = Load(viewers=50, rate=20, seconds=0.5)


@pytest.mark.parametrize("name", CONTENDERS)
async def test_a_contender_delivers_everything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)  # a test installs nothing
    kind = CONTENDERS[name]
    if lacks := kind.prepare():
        pytest.skip(lacks)
    figures = await run(kind, LOAD)
    assert (figures.server, figures.rate, figures.viewers) == (name, 20, 50)
    assert (figures.lost, figures.doubled, figures.ended) == (0, 0, 0)
    assert figures.deliveries_per_s > 0
    assert 0 <= figures.p50_ms <= figures.p99_ms <= figures.p999_ms <= figures.max_ms
    assert figures.rss_end_bytes > 1 << 20
    assert figures.frame_bytes == pytest.approx(200, rel=0.3)


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_says_what_it_is(name: str) -> None:
    assert CONTENDERS[name].about
