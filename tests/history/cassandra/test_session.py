"""CassandraSession: the driver's futures and errors in our words, and no driver left behind; the stores' tests cover
the rest"""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from history.cassandra import session as session_module
from history.cassandra.connection import LoopConnection
from history.cassandra.session import CassandraSession
from history.config import StoreSettings
from history.store import StoreUnavailable
from tests.waiting import eventually


async def test_where_no_cassandra_is_it_is_said_at_once_and_in_a_sentence() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        await CassandraSession.connect(("127.0.0.1",), 1, StoreSettings(cassandra_connect_timeout_ms=500))


async def test_a_driver_that_has_connected_for_nobody_is_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, connected, shut_down = threading.Event(), threading.Event(), threading.Event()

    def connect(*_: object) -> tuple[Any, Any]:
        begun.set()
        connected.wait()
        return SimpleNamespace(shutdown=shut_down.set), None

    monkeypatch.setattr(session_module, "_connect", connect)
    connecting = asyncio.create_task(CassandraSession.connect(("127.0.0.1",), 1, StoreSettings()))
    await eventually(begun.is_set)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    assert not shut_down.is_set()
    connected.set()
    await eventually(shut_down.is_set)


def test_one_that_has_just_connected_too() -> None:
    """The caller goes between the end of the thread's work and its own next turn."""
    shut_down = threading.Event()
    connecting = session_module._Connecting((), 0, StoreSettings(), LoopConnection)
    connecting._connect = lambda: (SimpleNamespace(shutdown=shut_down.set), None)  # type: ignore[assignment]
    connecting.run()
    connecting.abandon()
    assert shut_down.wait(60)
