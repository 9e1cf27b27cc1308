"""scripts/benches/dispatcher.py: the bench runs to its end on small numbers, and a broken promise is no figure."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.benches.__main__ import app
from scripts.benches.dispatcher import Faulty, check
from scripts.benches.dispatcher_nodes import Taken


def test_everything_once_and_small(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["dispatcher", "--quick", "--json", str(figures)])
    assert result.exit_code == 0, result.output
    for words in ("acknowledged", "whole again", "consistent hashing", "place, giant"):
        assert words in result.output
    assert '"useless pushes' in figures.read_text()


@pytest.mark.parametrize("taken", [Taken(comments=4), Taken(comments=5, useless=1), Taken(comments=5, doubled=1)])
def test_a_broken_promise_ends_the_bench(taken: Taken) -> None:
    check([Taken(comments=5)], 5)
    with pytest.raises(Faulty):
        check([taken], 5)
