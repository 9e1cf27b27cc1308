"""A small run of the real thing keeps every promise, and a broken one is told; and what a silence is."""

from dataclasses import replace
from typing import Any

import pytest

from scripts.benches.chaos import BREAKS, Form, Result, chaos, longest_silence_s, show
from scripts.benches.config import FAULTS
from scripts.benches.system import Outcome

SOON = replace(FAULTS, replicas=2, nodes=2, restart_s=0.3, stop_s=2.0, doubles_s=0.2)
"""Two of each: with one of them broken, the others are one."""


async def test_nothing_is_lost_or_doubled_when_replicas_and_nodes_break() -> None:
    result = await chaos(Form(rate=100, seconds=12.5, videos=4, viewers=12), SOON)
    outcome = result.outcome
    assert (outcome.lost, outcome.doubled, outcome.errors, outcome.complaints) == (0, 0, {}, []), outcome
    assert result.kept
    assert (outcome.acknowledged, result.deliveries) == (1250, 3750)
    assert [silence.fault for silence in result.silences[1:]] == [*BREAKS]
    assert [bool(silence.victims_ms) for silence in result.silences] == [False, False, True, False, True]
    assert result.reconnects > 0


@pytest.mark.parametrize(
    ("arrivals_s", "silence_s"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 1),
        ([1, 2, 3, 6, 7, 8], 3),
        ([1, 6, 7, 8], 5),  # it was under way when the window began
        ([3, 4, 5, 6, 20], 1),  # what comes after the window has another cause
        ([1, 20], 6),
        ([], 4),
        ([20], 4),
    ],
)
def test_the_longest_silence(arrivals_s: list[float], silence_s: float) -> None:
    assert longest_silence_s(arrivals_s, from_s=3, to_s=7) == silence_s


@pytest.mark.parametrize(
    ("what", "kept", "words"),
    [
        ({}, True, "lost=0 doubled=0"),
        ({"disordered": 7}, True, "disordered=7"),
        ({"lost": 1}, False, "lost=1"),
        ({"doubled": 1}, False, "doubled=1"),
        ({"errors": {"503": 2}}, False, "'503':2"),
        ({"cut": 3}, False, "cut: 3"),
        ({"complaints": ["Traceback", "boo"]}, False, "errors in the services' logs: 2"),
    ],
)
def test_a_broken_promise_is_told(
    what: dict[str, Any], kept: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(Result(Outcome(5, **what), 9, 0, [])) is kept
    assert words in capsys.readouterr().out
