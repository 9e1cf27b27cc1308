"""scripts/bench small, in small: the real system keeps every promise, and what isn't kept is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.benches import small as bench
from scripts.benches.config import SMALL_QUICK
from scripts.benches.small import Form, Measured, small
from scripts.processes import ROOT

TINY = replace(SMALL_QUICK, videos=4, calm_rate=40, opened=6, past=3, failover_rate=60, failover_s=2)


async def test_a_network_that_loses_a_node_loses_no_comment() -> None:
    assert await small(Form(["cost", "failover"], ["sqlite"], 1, None), TINY)


async def test_opening_reads_each_video_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert await small(Form(["opening"], ["sqlite"], 1, None), TINY)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("history reads")]
    assert line.split()[-2:] == ["1", "1"]


@pytest.mark.parametrize(("lost", "kept"), [((0, 0), True), ((0, 1), False)])
async def test_the_other_checkout_is_measured_in_turns_and_only_our_faults_count(
    lost: tuple[int, int],
    kept: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours, runs = iter(lost), []

    async def measured(root: Path, kind: str, settings: Any) -> Measured:
        runs.append(root)
        return {"CPU ms": 2.0, "lost": next(ours)} if root == ROOT else {"CPU ms": 4.0, "lost": 3}

    monkeypatch.setattr(bench, "PARTS", {"cost": measured})
    assert await small(Form(["cost"], ["sqlite"], 2, tmp_path)) is kept
    assert runs == [ROOT, tmp_path, ROOT, tmp_path]
    assert "0.50" in capsys.readouterr().out
