"""scripts/benches/million.py, with hundreds: two nodes fill up, and everybody gets everything."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benches.config import MILLION
from scripts.benches.million import million

SMALL = replace(MILLION, capacity=100, batch=30, no_room_wait_s=0.1, no_room_tries=100)


def test_all_viewers_are_placed_and_get_all_comments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert million(190, 2, tmp_path / "figures.json", SMALL) == 0
    shown = capsys.readouterr().out
    assert "viewers=190 nodes=2 deliveries=380 lost=0 doubled=0" in shown
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [phase["name"] for phase in figures["phases"]] == ["start", "connect", "comment 1", "comment 2", "end"]
    assert sum(figures["viewers_by_node"].values()) == 190
    assert max(figures["viewers_by_node"].values()) <= SMALL.capacity
    assert figures["rms_rss_bytes"] > 10 << 20


def test_what_does_not_fit_is_not_begun(capsys: pytest.CaptureFixture[str]) -> None:
    assert million(10**12, 1, None) == 1
    assert "would fit: --viewers" in capsys.readouterr().err
