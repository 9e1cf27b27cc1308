"""scripts/benches/registry.py: ours needs few pushes and fills no node over its seats."""

from scripts.benches.registry import (
    consistent_hashing,
    one_giant,
    ours,
    placed,
    registry_costs,
    round_robin,
    uniform,
    zipf,
)

VIEWERS = 20_000


def test_a_giant_is_spread_over_few_nodes() -> None:
    pushes, _, filled = placed(one_giant, ours(), VIEWERS)
    assert pushes <= 5
    assert filled < 1
    assert placed(one_giant, consistent_hashing(), 40 * VIEWERS)[2] > 1
    assert placed(one_giant, round_robin(), VIEWERS)[0] > 30


def test_videos_that_fit_on_a_node_stay_on_it() -> None:
    for workload in (uniform, zipf):
        assert placed(workload, ours(), VIEWERS)[0] < 1.5


def test_the_registrys_costs_are_told() -> None:
    lines = list(registry_costs(2000))
    assert "2,000 videos on 1,300 nodes" in lines[0]
    assert len(lines) == 5
