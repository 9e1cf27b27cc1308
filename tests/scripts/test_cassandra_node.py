"""scripts/cassandra_node.py trusts a pid file only if /proc agrees, and a port only if CQL answers there."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.cassandra_node import CQL_OPTIONS, Node, Ports, wait_until

SUPPORTED = b"\x84\x00\x00\x00\x06\x00\x00\x00\x00"


@contextmanager
def server_that_answers(answer: bytes) -> Iterator[int]:
    """Yields its port. It answers one request and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                assert connection.recv(100) == CQL_OPTIONS
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def a_node(tmp_path: Path, port: int = 1) -> Node:
    return Node(1, tmp_path, Ports(port, 2, 3))


@pytest.mark.parametrize("content", [str(os.getpid()), "99999999", "", "x"], ids=["living", "dead", "empty", "none"])
def test_another_process_is_never_taken_for_the_node(tmp_path: Path, content: str) -> None:
    node = a_node(tmp_path)
    assert node.pid() is None
    (tmp_path / "node1").mkdir()
    (tmp_path / "node1" / "pid").write_text(content)
    assert node.pid() is None
    assert not node.stop()


@pytest.mark.parametrize(
    ("answer", "is_cql"), [(SUPPORTED, True), (b"HTTP/1.1 400 Bad Request\r\n", False), (b"", False)]
)
def test_only_a_cql_response_counts(tmp_path: Path, answer: bytes, is_cql: bool) -> None:
    with server_that_answers(answer) as port:
        assert a_node(tmp_path, port).speaks_cql() == is_cql


def test_a_port_without_a_server_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert not a_node(tmp_path, nobody.getsockname()[1]).speaks_cql()


def test_log_tail_shows_the_last_lines(tmp_path: Path) -> None:
    node = a_node(tmp_path)
    assert node.log_tail(2) == ""
    (tmp_path / "node1" / "log").mkdir(parents=True)
    (tmp_path / "node1" / "log" / "system.log").write_text("one\ntwo\nthree\n")
    assert node.log_tail(2).endswith("system.log\ntwo\nthree")


def test_nodetool_asks_the_nodes_own_port(tmp_path: Path) -> None:
    command = Node(2, tmp_path, Ports(1, 2, 30)).nodetool(tmp_path, ["flush", "keyspace"])
    assert command[-6:] == ["-h", "127.0.0.1", "-p", "31", "flush", "keyspace"]


def test_wait_until_ends() -> None:
    assert wait_until(lambda: True, 0)
    assert not wait_until(lambda: False, 0)
