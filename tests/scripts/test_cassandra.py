"""scripts/cassandra prints what it did or what is wrong, and its exit code tells a script."""

import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.cassandra import EXIT_NOT_UP, app
from tests.cassandra_fixture import CassandraUnderTest, cassandra
from tests.scripts.test_cassandra_node import SUPPORTED, server_that_answers

__all__ = ["cassandra"]

runner = CliRunner()


def test_without_nodes_the_status_is_not_up(tmp_path: Path) -> None:
    result = runner.invoke(app, ["status", "--data", str(tmp_path)])
    assert result.exit_code == EXIT_NOT_UP
    assert "no nodes" in result.output


def test_stopping_nothing_is_fine(tmp_path: Path) -> None:
    assert runner.invoke(app, ["stop", "--data", str(tmp_path)]).exit_code == 0


def test_two_nodes_are_refused(tmp_path: Path) -> None:
    result = runner.invoke(app, ["start", "--nodes", "2", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "--nodes must be 1 or 3" in result.output


def test_a_missing_tool_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = runner.invoke(app, ["start", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "java is not on the PATH" in result.output
    assert "apt-get install" in result.output


def test_a_second_start_keeps_the_node_and_status_shows_it(cassandra: CassandraUnderTest) -> None:
    pid = (cassandra.folder / "node1" / "pid").read_text()
    cassandra.start()
    assert (cassandra.folder / "node1" / "pid").read_text() == pid
    flags = ["--data", str(cassandra.folder), "--port", str(cassandra.port)]
    result = runner.invoke(app, ["status", *flags])
    assert result.exit_code == 0
    assert f"127.0.0.1:{cassandra.port}" in result.output
    assert pid in result.output


def test_nodetool_needs_a_node(tmp_path: Path) -> None:
    result = runner.invoke(app, ["nodetool", "--data", str(tmp_path), "status"])
    assert result.exit_code == 1
    assert "node 1 isn't running" in result.output


def test_a_node_that_is_stuck_is_not_up(cassandra: CassandraUnderTest) -> None:
    cassandra.send_signal(signal.SIGSTOP)
    try:
        result = runner.invoke(app, ["status", "--data", str(cassandra.folder), "--port", str(cassandra.port)])
    finally:
        cassandra.send_signal(signal.SIGCONT)
    assert result.exit_code == EXIT_NOT_UP
    assert "silent" in result.output


def test_a_port_of_another_server_is_refused(cassandra: CassandraUnderTest, tmp_path: Path) -> None:
    """Uses the fixture because it has fetched the jars."""
    with server_that_answers(SUPPORTED) as port:
        result = runner.invoke(app, ["start", "--data", str(tmp_path), "--port", str(port)])
    assert result.exit_code == 1
    assert "something else answers CQL" in result.output
