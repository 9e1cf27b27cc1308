"""scripts/bench outage: what counts as kept; and three real Cassandra nodes, one of which is killed under load.

The outage of a whole Cassandra is in tests/end_to_end/test_outage.py, with the same faults.
"""

import re
import shutil
from dataclasses import replace

import pytest

from scripts.benches.cassandra import BenchCassandra
from scripts.benches.config import FAULTS
from scripts.benches.outage import Form, Result, Times, one_outage, show
from scripts.benches.system import Outcome

OUTCOME = Outcome(acknowledged=20_000, cut=3, longest_wait_s=0.9)
RESULT = Result("kill", OUTCOME, Times(36, 0.8, 2), longest_pause_s=0.4, not_stored=0, unanswered=2)

SOON = replace(FAULTS, warm_s=2.0, after_s=1.0, doubles_s=0.2)


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        (RESULT, True),
        (RESULT._replace(not_stored=1), False),
        (RESULT._replace(outcome=replace(OUTCOME, lost=1)), False),
        (RESULT._replace(outcome=replace(OUTCOME, doubled=1)), False),
        (RESULT._replace(outcome=replace(OUTCOME, errors={"503": 1})), False),
        (RESULT._replace(longest_pause_s=1.1), False),
        (RESULT._replace(unanswered=4), False),  # nobody's post can have made it
        (RESULT._replace(outcome=replace(OUTCOME, complaints=["Traceback"])), False),
    ],
)
def test_what_counts_as_kept(result: Result, kept: bool) -> None:
    assert result.kept is kept


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show([RESULT], Form())
    shown = capsys.readouterr().out
    assert "20,000" in shown
    assert "kept" in shown
    assert max(map(len, shown.splitlines()[:4])) <= 80, shown


def test_its_url_names_every_node() -> None:
    assert re.fullmatch(r"cassandra://127\.0\.0\.1,127\.0\.0\.2,127\.0\.0\.3:\d+/bench", BenchCassandra(3).url)


def test_two_nodes_can_not_lose_one() -> None:
    with pytest.raises(ValueError, match="known are 1, 3"):
        BenchCassandra(2)


@pytest.mark.timeout(300)  # three JVMs on a machine that may be busy; 60 s on a quiet one with two cores
async def test_one_of_three_nodes_is_killed_and_nobody_notices() -> None:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("Cassandra needs java and mvn")
    result = await one_outage("node", Form(nodes=3, rate=50, seconds=2, viewers=4), SOON)
    outcome = result.outcome
    facts = (result.not_stored, outcome.lost, outcome.doubled, outcome.errors, outcome.complaints)
    assert facts == (0, 0, 0, {}, [])
    assert outcome.acknowledged > 100
