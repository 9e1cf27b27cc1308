"""scripts/bench: what is asked of it on the command line"""

import pytest
from typer.testing import CliRunner, Result

from scripts.benches.__main__ import app


def bench(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, arguments)


@pytest.mark.parametrize("command", ["fanout", "million"])
def test_every_command_explains_itself(command: str) -> None:
    result = bench(command, "--help")
    assert result.exit_code == 0
    assert "--viewers" in result.output


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["--peers", "mercure"], "known are c,nchan,buffers,starlette"),
        (["--rates", "fast"], "5,20,100 would be"),
        (["--rates", "0"], "5,20,100 would be"),
        (["--gzip", "/dev/null"], "no line of a chat"),
        (["--slow", "100", "--viewers", "100"], "somebody must read"),
    ],
)
def test_what_is_wrong_is_said(wrong: list[str], right: str) -> None:
    result = bench("fanout", *wrong)
    assert result.exit_code == 2
    assert right in result.output
