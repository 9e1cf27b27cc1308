"""scripts/bench outage --nodes 3: three real Cassandra nodes, one of which is killed while people talk.

The outage of a whole Cassandra is in tests/end_to_end/test_outage.py, with the same faults.
"""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from scripts.benches.outage import Outcome, Wishes, show
from scripts.processes import ROOT

OUTCOME = Outcome(
    fault="kill", rate=500, away_s=36, acknowledged=20_000, not_stored=0, unanswered=2, cut=3, lost=0, doubled=0,
    errors={}, longest_pause_s=0.4, longest_wait_s=0.9, down_s=0.8, drained_s=2, complaints=[],
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"not_stored": 1}, False),
        ({"lost": 1}, False),
        ({"doubled": 1}, False),
        ({"errors": {"503": 1}}, False),
        ({"longest_pause_s": 1.1}, False),
        ({"unanswered": 4}, False),  # nobody's post can have made it
        ({"complaints": ["Traceback"]}, False),
    ],
)
def test_what_counts_as_kept(change: dict[str, object], kept: bool) -> None:
    outcome = Outcome(**{**{name: getattr(OUTCOME, name) for name in Outcome.__struct_fields__}, **change})
    assert outcome.kept is kept


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show([OUTCOME], Wishes())
    shown = capsys.readouterr().out
    assert "20,000" in shown
    assert "kept" in shown
    assert max(map(len, shown.splitlines()[:4])) <= 80, shown


@pytest.mark.timeout(300)  # three JVMs on a machine that may be busy; 60 s on a quiet one with two cores
async def test_one_of_three_nodes_is_killed_and_nobody_notices(tmp_path: Path) -> None:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("Cassandra needs java and mvn")
    command = ("outage", "--nodes", "3", "--rate", "50", "--seconds", "3", "--viewers", "4")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "scripts.benches", *command, "--json", str(tmp_path / "figures.json")),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    figures = json.loads((tmp_path / "figures.json").read_text())[0]
    facts = {name: figures[name] for name in ("not_stored", "lost", "doubled", "errors", "complaints")}
    assert facts == {"not_stored": 0, "lost": 0, "doubled": 0, "errors": {}, "complaints": []}, output.decode()
    assert figures["acknowledged"] > 100
