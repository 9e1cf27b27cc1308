"""The bench's Cassandra; scripts/benches/test_outage.py starts a real one of three nodes."""

import re

import pytest

from scripts.benches.outage_cluster import BenchCluster


def test_its_url_names_every_node() -> None:
    assert re.fullmatch(r"cassandra://127\.0\.0\.1,127\.0\.0\.2,127\.0\.0\.3:\d+/bench", BenchCluster(3).url)


def test_two_nodes_can_not_lose_one() -> None:
    with pytest.raises(ValueError, match="known are 1, 3"):
        BenchCluster(2)
