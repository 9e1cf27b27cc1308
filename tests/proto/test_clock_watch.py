"""ClockWatch: asks when it is due, and logs a beginning and an end once each; fakes for the clocks and the call"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import grpc
import pytest
from structlog.testing import capture_logs
from structlog.types import EventDict

from proto import clock_watch
from proto.channel import aio_channel
from proto.clock_watch import ClockSettings, ClockWatch
from proto.core.clocks_apart import Verdict
from proto.dispatch_pb2 import ClockRequest, ClockResponse
from proto.dispatch_pb2_grpc import DispatcherStub
from tests.waiting import eventually

if TYPE_CHECKING:
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub

TRUE_MS = 1_700_000_000_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_watch, "LOOK_MS", 5)


class Time:
    """Passes only when the test says so."""

    passed_ms = 0


class Replica:
    """Answers at once."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.time = Time()
        self.ahead_ms = ahead_ms
        self.is_away = False
        self.asked = 0

    async def Clock(self, request: ClockRequest, timeout: float) -> ClockResponse:  # noqa: N802
        self.asked += 1
        if self.is_away:
            raise grpc.RpcError
        return ClockResponse(now_ms=TRUE_MS + self.time.passed_ms + self.ahead_ms)


class Watching:
    def __init__(self, replicas: Mapping[str, Replica]) -> None:
        self.ahead_ms = 0
        self.time = Time()
        for replica in replicas.values():
            replica.time = self.time
        settings = ClockSettings(_cli_parse_args=False)  # type: ignore[call-arg]
        self.watch = ClockWatch(
            settings,
            lambda: cast("Mapping[str, DispatcherAsyncStub]", replicas),
            lambda: TRUE_MS + self.time.passed_ms + self.ahead_ms,
            lambda: self.time.passed_ms,
            on_right=self._is_right,
        )
        self.right = 0  # times that the clock was confirmed

    def _is_right(self) -> None:
        self.right += 1

    @property
    def verdict(self) -> Verdict:
        return self.watch.statistics().verdict


@asynccontextmanager
async def watching(**replicas: Replica) -> AsyncIterator[tuple[Watching, Callable[[], list[EventDict]]]]:
    """And what was logged since the last look at it"""
    made = Watching(replicas)
    with capture_logs() as logs:
        running = asyncio.create_task(made.watch.run())

        def logged() -> list[EventDict]:
            lines = logs.copy()
            logs.clear()
            return lines

        try:
            yield made, logged
        finally:
            running.cancel()


async def rounds(replica: Replica, count: int = 3) -> None:
    """Waits for so many more questions."""
    wanted = replica.asked + count
    await eventually(lambda: replica.asked >= wanted)


async def test_the_clock_is_confirmed_only_by_a_replica_that_has_answered_since_it_was_set() -> None:
    a, away = Replica(), Replica()
    a.is_away = away.is_away = True
    async with watching(a=a, away=away) as (made, _):
        await rounds(away)
        assert made.right == 0
        a.is_away = False
        await eventually(lambda: made.right > 0)
        made.ahead_ms = 8_000
        await rounds(away)
        right = made.right
        await rounds(away)
        assert made.right == right
        made.ahead_ms = 0
        await eventually(lambda: made.right > right)


async def test_the_own_clock_is_told_once_when_it_goes_off_and_once_when_it_is_right() -> None:
    a, away = Replica(), Replica()
    away.is_away = True  # it is asked in each round, which shows that there was one
    async with watching(a=a, away=away) as (made, logged):
        await rounds(away)
        assert logged() == []
        made.ahead_ms = 8_000
        await eventually(lambda: made.verdict == Verdict(8_000, {}))
        assert made.watch.statistics().words == "8000 ms ahead of the dispatchers' clocks"
        await rounds(away)
        (line,) = logged()
        assert (line["log_level"], line["event"]) == ("error", "clock is off, this process isn't ready")
        assert (line["off_ms"], line["dispatchers"]) == (8_000, {"a": -8_000})
        made.ahead_ms = 0
        await rounds(away)
        assert [line["event"] for line in logged()] == ["clock is right again"]
        assert (made.watch.statistics().words, made.watch.statistics().is_off) == ("ok", False)
        made.ahead_ms = -6_000
        await eventually(lambda: made.watch.statistics().words == "6000 ms behind the dispatchers' clocks")


async def test_one_replica_of_two_is_named_and_this_process_stays_ready() -> None:
    a, b, away = Replica(), Replica(-9_000), Replica()
    away.is_away = True
    async with watching(a=a, b=b, away=away) as (made, logged):
        await rounds(away)
        (line,) = logged()
        assert (line["event"], line["dispatcher"], line["off_ms"]) == ("a dispatcher's clock is off", "b", -9_000)
        assert made.watch.statistics().words == "ok"
        assert made.watch.statistics().offsets_ms == {"a": 0, "b": -9_000}
        b.ahead_ms = 0
        made.time.passed_ms += 60_000  # it is asked again
        await rounds(away)
        assert [line["event"] for line in logged()] == ["a dispatcher's clock is right again, or unknown"]


async def test_a_replica_is_asked_when_it_is_due() -> None:
    a, away = Replica(), Replica()
    away.is_away = True
    async with watching(a=a, away=away) as (made, _):
        await rounds(away, 20)
        assert a.asked == 1
        made.time.passed_ms += 29_999
        await rounds(away, 20)
        assert a.asked == 1
        made.time.passed_ms += 30_001
        await rounds(away, 20)
        assert a.asked == 2
        made.ahead_ms = 5_001  # the clock was set, or the machine has slept
        await rounds(away)
        assert a.asked == 3


async def test_a_channel_that_is_closed_meanwhile_ends_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = aio_channel(f"127.0.0.1:{silent.getsockname()[1]}", None)
        away = Replica()
        away.is_away = True
        stubs: dict[str, object] = {"silent": DispatcherStub(channel)}
        made = Watching({})
        made.watch._stubs = lambda: cast("Mapping[str, DispatcherAsyncStub]", stubs)
        clock_watch.LOOK_MS = 60_000  # so long the call would last
        running = asyncio.create_task(made.watch.run())
        await eventually(lambda: channel.get_state() is grpc.ChannelConnectivity.CONNECTING)
        clock_watch.LOOK_MS = 5
        await channel.close()
        stubs["away"] = away
        await rounds(away)  # and the closed channel is asked again
        assert not running.done()
        running.cancel()
