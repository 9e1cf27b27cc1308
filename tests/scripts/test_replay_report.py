"""scripts/replay_report.py: the same figures for people and for programs."""

from collections import Counter

import msgspec
import pytest

from scripts.audience import Verdict
from scripts.replay_report import Report, Tally

WELL = Verdict(lost=0, doubled=0, disordered=1, p50_ms=3.14, p99_ms=20.06)


def test_the_summary_ends_with_the_verdict() -> None:
    seen = Tally(
        posted=5,
        refused=Counter({"message_empty": 2, "message_too_long": 1}),
        due_at_s={"a": 1.0, "b": 2.0},
        answer_ms=[5.0, 7.0],
    )
    assert seen.done == 5
    assert Report(seen, WELL, viewers=3, reconnects=1, took_s=9.87).for_people() == [
        "posted        5 in 9.9 s, 0 tried again",
        "acknowledged  2",
        "refused       3  (2 message_empty, 1 message_too_long)",
        "failed        0",
        "answered      p50 5.0 ms, p99 7.0 ms, max 7.0 ms after due",
        "viewers       3, 1 reconnects",
        "lost=0 doubled=0 disordered=1 p50_ms=3.1 p99_ms=20.1",
    ]


def test_only_what_was_measured_is_shown() -> None:
    assert len(Report(Tally(), None, viewers=0, reconnects=0, took_s=0).for_people()) == 4


def test_programs_get_json() -> None:
    report = Report(Tally(), WELL, viewers=0, reconnects=0, took_s=0)
    facts = msgspec.json.decode(msgspec.json.encode(report.for_programs()))
    assert facts["verify"]["p99_ms"] == 20.06
    assert facts["answer_ms"]["max"] is None, "JSON has no NaN"


@pytest.mark.parametrize(
    ("report", "failed"),
    [
        (Report(Tally(), WELL, 1, 0, 0), False),
        (Report(Tally(), None, 1, 0, 0), False),
        (Report(Tally(), Verdict(1, 0, 0, 1, 1), 1, 0, 0), True),
        (Report(Tally(), Verdict(0, 1, 0, 1, 1), 1, 0, 0), True),
        (Report(Tally(refused=Counter(["x"])), WELL, 1, 0, 0), False),
        (Report(Tally(failed=Counter(["x"])), WELL, 1, 0, 0), True),
    ],
)
def test_which_outcomes_fail_a_run(report: Report, failed: bool) -> None:
    assert report.failed is failed
