"""dispatcher/cli/live.py: an event as a line, and followers that fail; the rest is tested in test_topology.py."""

import contextlib

import pytest
from structlog.testing import capture_logs

from dispatcher.cli import live
from dispatcher.cli.live import event_line, tail
from dispatcher.streams.watchers import Kind
from proto.channel import aio_channel
from proto.dispatch_pb2 import TopologyEvent
from proto.tls import Tls
from tests.dispatcher.peers import WAIT_S, RunningReplica


def test_an_event_has_its_replica_and_what_was_lost_before() -> None:
    line = event_line("d1:7001", TopologyEvent(kind="spill", node_id="rms-1", video_id="demo", lost=3)).plain
    assert line.endswith("d1:7001  (3 lost) spill  rms-1  demo")


def test_a_reason_is_shown() -> None:
    line = event_line("d1:7001", TopologyEvent(kind="node_left", node_id="rms-1", reason="it closed the stream")).plain
    assert line.endswith("node left  rms-1  it closed the stream")


async def test_a_follower_that_fails_is_logged_and_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RunningReplica() as one, RunningReplica() as two:
        faults = [ValueError("broken")]

        def failing_once(address: str, tls: Tls | None) -> object:
            if address == one.listen and faults:
                raise faults.pop()
            return aio_channel(address, tls)

        monkeypatch.setattr(live, "aio_channel", failing_once)
        followed = set()
        with capture_logs() as logs:
            async with contextlib.aclosing(tail([one.listen, two.listen], timeout_ms=WAIT_S * 1000)) as events:
                async for address, event in events:
                    assert event.kind == Kind.FOLLOWED
                    followed.add(address)
                    if len(followed) == 2:
                        break
    assert followed == {one.listen, two.listen}
    (line,) = (line for line in logs if line["event"] == "task failed, and is begun again")
    assert (line["task"], line["reason"]) == (f"follow {one.listen}", "ValueError('broken')")
