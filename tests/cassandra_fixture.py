"""Fixtures for tests on a real Cassandra: one node, started once in a test run by scripts/cassandra.

It has its own folder and ports, so that a developer's own Cassandra can run at the same time. A conftest.py imports the
fixtures that its tests use.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path

import pytest

from scripts.cassandra_node import wait_until
from scripts.plan import free_ports

ROOT = Path(__file__).resolve().parent.parent


class CassandraUnderTest:
    def __init__(self, tls: Path | None = None) -> None:
        """tls: a folder filled by scripts/certs: it wants certificates and a password."""
        self._tls = tls
        self.port, self._storage_port, self._jmx_port = free_ports(3)
        self.folder = Path(tempfile.mkdtemp(prefix="livecomments-cassandra-"))

    def start(self) -> None:
        ports = ("--port", self.port, "--storage-port", self._storage_port, "--jmx-port", self._jmx_port)
        sealed = () if self._tls is None else ("--tls", self._tls)
        started = self._run("start", *map(str, (*ports, *sealed)))
        assert started.returncode == 0, started.stdout

    def stop(self) -> None:
        self._run("stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Sends SIGKILL, and returns when the process is gone."""
        self.send_signal(signal.SIGKILL)
        assert wait_until(lambda: not _listens(self.port), 10)

    def send_signal(self, number: signal.Signals) -> None:
        """Returns when it stands still, if it is stopped: on a busy machine its threads run on for a moment."""
        pid = int((self.folder / "node1" / "pid").read_text())
        os.kill(pid, number)
        if number is signal.SIGSTOP:
            states = Path(f"/proc/{pid}/task").glob("*/stat")
            assert all(wait_until(lambda stat=stat: " T " in stat.read_text(), 10) for stat in states)  # type: ignore[misc]

    def nodetool(self, *arguments: str) -> None:
        done = self._run("nodetool", "--jmx-port", str(self._jmx_port), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def log(self) -> str:
        """What the node has logged"""
        return (self.folder / "node1" / "log" / "system.log").read_text()

    def sstables(self, url: str) -> bytes:
        """What stands in the files of that store's tables"""
        keyspace = self.folder / "node1" / "data" / "sstables" / url.rpartition("/")[2]
        return b"".join(path.read_bytes() for path in sorted(keyspace.rglob("*.db")))

    def new_url(self) -> str:
        """A store's URL with a new keyspace"""
        return f"cassandra://127.0.0.1:{self.port}/test_{uuid.uuid4().hex[:16]}"

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "scripts.cassandra", *arguments, "--data", str(self.folder)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def skip_without_tools() -> None:
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"Cassandra needs {' and '.join(missing)}")


@cache
def _the_one(config: pytest.Config) -> CassandraUnderTest:
    """One node for the whole run, however many conftests import the fixtures. It is stopped when the run ends."""
    skip_without_tools()
    cassandra = CassandraUnderTest()
    config.add_cleanup(cassandra.stop)
    cassandra.start()
    return cassandra


@pytest.fixture(scope="session")
def cassandra(pytestconfig: pytest.Config) -> CassandraUnderTest:
    """For tests that inject faults. They must leave it running."""
    return _the_one(pytestconfig)


@pytest.fixture(scope="module")
def cassandra_url(pytestconfig: pytest.Config) -> str:
    """A store's URL, with a keyspace for this test module alone"""
    return _the_one(pytestconfig).new_url()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
