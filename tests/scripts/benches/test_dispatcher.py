"""scripts/benches/dispatcher.py: the bench runs to its end on small numbers, and a broken promise is no figure."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.benches.__main__ import app
from scripts.benches.dispatcher import Faulty, check
from scripts.benches.dispatcher_nodes import Taken


def test_everything_once_and_small(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["dispatcher", "--quick", "--repeats", "1", "--json", str(figures)]
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for words in ("acknowledged", "are back", "consistent hashing", "place, giant", "lost=0 doubled=0 useless=0"):
        assert words in result.output
    assert '"comments/s"' in figures.read_text()


def test_a_part_alone() -> None:
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["dispatcher", "--quick", "--only", "placement"])
    assert result.exit_code == 0, result.output
    assert "round robin" in result.output
    assert "acknowledged" not in result.output
    assert CliRunner().invoke(app, ["dispatcher", "--only", "speed"]).exit_code == 2


@pytest.mark.parametrize("taken", [Taken(comments=4), Taken(comments=5, useless=1), Taken(comments=5, doubled=1)])
def test_a_broken_promise_ends_the_bench(taken: Taken) -> None:
    check([Taken(comments=5)], 5)
    with pytest.raises(Faulty):
        check([taken], 5)
