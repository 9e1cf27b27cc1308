"""What is asked of scripts/bench on the command line"""

import pytest
from typer.testing import CliRunner, Result

from scripts.benches.__main__ import app


def bench(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, arguments)


@pytest.mark.parametrize("command", ["fanout", "million", "dispatcher", "chaos", "outage", "footprint", "history"])
def test_every_command_explains_itself(command: str) -> None:
    result = bench(command, "--help")
    assert result.exit_code == 0
    assert {"fanout": "--viewers", "million": "--viewers", "history": "--store"}.get(command, "--") in result.output


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["fanout", "--peers", "mercure"], "known are c,nchan,buffers,naive"),
        (["fanout", "--rates", "fast"], "5,20,100 would be"),
        (["fanout", "--rates", "0"], "5,20,100 would be"),
        (["fanout", "--gzip", "/dev/null"], "no line of a chat"),
        (["fanout", "--slow", "100", "--viewers", "100"], "somebody must read"),
        (["history", "--only", "speed"], "known are writes,posts,hot,depth,scroll"),
        (["history", "--store", "redis"], "known are sqlite,cassandra"),
        (["outage", "--nodes", "2"], "1 or 3"),
    ],
)
def test_what_is_wrong_is_said(wrong: list[str], right: str) -> None:
    result = bench(*wrong)
    assert result.exit_code == 2
    assert right in result.output
