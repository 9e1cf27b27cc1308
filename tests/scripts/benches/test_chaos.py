"""scripts/benches/chaos.py: a small run of the real thing keeps every promise, and a broken one is told."""

import signal
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from scripts.benches.chaos import FAULTS, Chaos, Outcome, Wishes, show
from scripts.benches.config import CHAOS
from scripts.benches.procfs import machine

SOON = replace(CHAOS, replicas=2, nodes=2, connections=8, restart_s=0.5, stop_s=3.0)
"""Two of each: with one of them broken, the others are one."""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_nothing_is_lost_or_doubled_when_a_replica_and_a_node_break(how: signal.Signals, tmp_path: Path) -> None:
    faults = [fault for fault in FAULTS if fault.how is how]
    logs = tmp_path / "logs"
    wishes = Wishes(rate=100, seconds=10.5, videos=4, viewers=12, logs=logs)
    outcome = await Chaos(wishes, SOON, faults).run()
    assert (outcome.lost, outcome.doubled, outcome.errors, outcome.complaints) == (0, 0, {}, 0), outcome
    assert outcome.kept
    assert (outcome.acknowledged, outcome.deliveries) == (1050, 3150)
    assert [each.fault for each in outcome.silences] == ["no fault", *(fault.what for fault in faults)]
    assert outcome.silences[2].victims > 0
    assert (outcome.reconnects > 0) is (how is signal.SIGKILL)
    assert "dispatcher ready" in logs.read_text()


GOOD = Outcome(
    machine=machine(),
    acknowledged=5,
    deliveries=9,
    lost=0,
    doubled=0,
    disordered=0,
    errors={},
    longest_post_ms=5.0,
    reconnects=0,
    complaints=0,
    silences=[],
    misses=[],
)


@pytest.mark.parametrize(
    ("what", "kept", "words"),
    [
        ({}, True, "lost=0 doubled=0"),
        ({"disordered": 7}, True, "disordered=7"),
        ({"lost": 1}, False, "lost=1"),
        ({"doubled": 1}, False, "doubled=1"),
        ({"errors": {"503": 2}}, False, "'503':2"),
        ({"complaints": 3}, False, "errors in the services' logs: 3"),
    ],
)
def test_a_broken_promise_is_told(what: dict[str, object], kept: bool, words: str) -> None:
    console = Console(record=True, width=200)
    outcome = msgspec.structs.replace(GOOD, **what)
    show(outcome, console)
    assert outcome.kept is kept
    assert words in console.export_text()
