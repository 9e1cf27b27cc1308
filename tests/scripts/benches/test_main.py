"""What is asked of scripts/bench on the command line"""

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scripts.benches.__main__ import app
from scripts.processes import ROOT
from tests.test_house import ROOMS, sources


def bench(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, arguments)


@pytest.mark.parametrize("command", ["fanout", "million", "dispatcher", "chaos", "outage", "history", "small", "edge"])
def test_every_command_explains_itself(command: str) -> None:
    result = bench(command, "--help")
    assert result.exit_code == 0
    assert {"fanout": "--viewers", "million": "--viewers", "history": "--store"}.get(command, "--") in result.output


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (["fanout", "--peers", "mercure"], "known are c,nchan,naive"),
        (["fanout", "--rates", "fast"], "5,20,100 would be"),
        (["fanout", "--rates", "0"], "5,20,100 would be"),
        (["fanout", "--gzip", "/dev/null"], "no line of a chat"),
        (["fanout", "--slow", "100", "--viewers", "100"], "somebody must read"),
        (["history", "--only", "speed"], "known are writes,writers,posts"),
        (["history", "--store", "redis"], "known are sqlite,cassandra"),
        (["edge", "--only", "speed"], "known are cost,attacks"),
        (["edge", "--fronts", "traefik"], "known are none,haproxy,nginx,envoy"),
        (["edge", "--attacked", "traefik"], "known are none,haproxy,nginx,envoy"),
        (["edge", "--mixes", "smurf"], "known are nothing,heads"),
        (["edge", "--viewers", "many"], "5,20,100 would be"),
        (["outage", "--nodes", "2"], "1 or 3"),
        (["small", "--only", "speed"], "known are cost,delay,opening,failover"),
    ],
)
def test_what_is_wrong_is_said(wrong: list[str], right: str) -> None:
    result = bench(*wrong)
    assert result.exit_code == 2
    assert right in result.output


BENCHES = ROOT / "scripts" / "benches"


def packages(paths: Iterable[Path]) -> set[str]:
    """What they import that is neither Python's nor ours"""
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {*ROOMS}


def test_the_benches_need_no_package_of_their_own() -> None:
    """So the services' lock holds nothing for them alone. But for playwright, which is in the tests'."""
    others = (path for room in ROOMS if room not in ("tests", "scripts") for path in sources(room))
    tools = (path for path in sources("scripts") if BENCHES not in path.parents)
    assert packages(BENCHES.glob("*.py")) - {"playwright"} <= packages([*others, *tools])
