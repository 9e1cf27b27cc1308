"""Publisher: every durable comment reaches a dispatcher, whatever the dispatchers do"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from comment_service.core.outbox import Outbox, OutboxLimits
from comment_service.core.pacing import Pacing
from comment_service.publish.publisher import IDS_SAVED_MS, Publisher, PublishSettings
from comment_service.publish.replicas import Keepalive, Replicas
from comment_service.publish.watermark import Saved, Watermark, resumed_outbox
from history.clocks import wall_ms
from history.core.ids import IdSource, first_id_at
from history.core.model import comment_json
from proto.replicas import ReplicaAddresses
from proto.tasks import Supervisor
from tests.comment_service.fake_dispatcher import FakeDispatcher, events_of, fake_dispatcher, serving
from tests.comment_service.parts import comment
from tests.dispatcher.peers import NodePeer, RunningReplica
from tests.waiting import eventually

SETTINGS = PublishSettings(
    connect_timeout_ms=2000,
    ack_timeout_ms=60_000,
    backoff_min_ms=10,
    backoff_max_ms=50,
    pacing=Pacing(after=8, batches_max=64, window_ms=1_000),
    look_ms=60_000,
    watermark_ms=1,
)


LIMITS = OutboxLimits(10, 3 << 20, 64, 1000, 1 << 30, 1_000)

LONGEST = "\u2028" * 500
"""As many characters as a message may have; each is escaped to six bytes"""


class Running:
    publisher: Publisher

    def __init__(self, outbox: Outbox, watermark: Watermark) -> None:
        self.outbox = outbox
        self.watermark = watermark
        self.newest: list[int] = []

    def put(self, *ids: int) -> None:
        for comment_id in ids:
            self.publisher.begin(comment_id, "demo")
            self.publisher.put(comment(comment_id))

    async def wait_published(self) -> None:
        await eventually(lambda: self.outbox.is_empty)


Start = Callable[..., Running]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:
        tasks = Supervisor()
        stack.push_async_callback(tasks.close)

        def start_publisher(
            *addresses: str,
            prefer: str = "",
            batch: int = 10,
            batch_bytes: int = 3 << 20,
            events: int = 1000,
            **settings: Any,
        ) -> Running:
            replicas = Replicas(ReplicaAddresses(",".join(addresses), 1000), Keepalive(1000, 1000))
            replicas.prefer(prefer)
            stack.push_async_callback(replicas.close)
            outbox = Outbox(0, replace(LIMITS, batch_events_max=batch, batch_bytes_max=batch_bytes, events_max=events))
            watermark = Watermark(tmp_path, 0)
            running = Running(outbox, watermark)
            changed = replace(SETTINGS, **settings)
            running.publisher = Publisher(replicas, outbox, watermark, changed, on_newest=running.newest.append)
            running.publisher.start(tasks)
            stack.push_async_callback(running.publisher.close, timeout_ms=0)
            return running

        yield start_publisher


async def test_the_newest_id_of_all_services_comes_with_each_response(start: Start, dispatcher: FakeDispatcher) -> None:
    dispatcher.newest_id = 77
    running = start(dispatcher.address)
    running.put(5)
    await running.wait_published()
    assert running.newest == [77]


async def test_what_is_put_is_published(start: Start, dispatcher: FakeDispatcher) -> None:
    running = start(dispatcher.address)
    running.put(1, 2, 3)
    await running.wait_published()
    assert dispatcher.published == [1, 2, 3]
    video_id, sent = dispatcher.events[0]
    assert (video_id, sent.WhichOneof("body"), sent.data) == ("demo", "comment", comment_json(comment(1)))
    statistics = running.publisher.statistics()
    assert (statistics.published, statistics.backlog, statistics.in_flight) == (3, 0, 0)
    assert statistics.connected == dispatcher.address


async def test_what_arrived_meanwhile_goes_together(start: Start, dispatcher: FakeDispatcher) -> None:
    running = start(dispatcher.address)
    running.put(*range(1, 101))  # the publisher is not connected yet
    await running.wait_published()
    assert [len(events_of(request)) for request in dispatcher.requests] == [10] * 10


async def test_no_replica_refuses_a_batch_of_the_longest_comments(start: Start) -> None:
    """In many videos, where each comment takes more room than in one"""
    async with RunningReplica() as replica:
        running = start(replica.listen, batch=1_000, events=10_000)
        for number in range(1, 1_001):
            said = comment(number, "v" * 124 + f"{number % 500:04}", LONGEST)
            running.publisher.begin(said.id, said.video_id)
            running.publisher.put(said)
        await running.wait_published()
        facts = running.publisher.statistics()
        assert (facts.published, facts.resent, facts.dropped, facts.bytes) == (1_000, 0, 0, 0)
        assert replica.replica.counts.events == 1_000


async def test_a_slow_dispatcher_gets_larger_batches(start: Start, dispatcher: FakeDispatcher) -> None:
    dispatcher.responds = False
    running = start(dispatcher.address, batch=1000, pacing=Pacing(after=0, batches_max=64, window_ms=1_000))
    for comment_id in range(1, 201):
        running.put(comment_id)
        await asyncio.sleep(0)
    await eventually(lambda: len(dispatcher.published) == 200)
    assert len(dispatcher.requests) < 100


async def test_one_replica_is_preferred(start: Start, dispatcher: FakeDispatcher) -> None:
    async with fake_dispatcher() as other:
        running = start(dispatcher.address, other.address)
        for comment_id in range(1, 20):
            running.put(comment_id)
            await running.wait_published()
        assert sorted([len(dispatcher.published), len(other.published)]) == [0, 19]


async def test_a_broken_stream_loses_nothing(start: Start, dispatcher: FakeDispatcher) -> None:
    async with fake_dispatcher() as other:
        dispatcher.responds = other.responds = False
        running = start(dispatcher.address, other.address)
        running.put(1, 2)
        await eventually(lambda: dispatcher.published == [1, 2] or other.published == [1, 2])
        first, second = (dispatcher, other) if dispatcher.published else (other, dispatcher)
        second.responds = True
        first.cut()
        await running.wait_published()
        assert second.published == [1, 2]
        assert running.publisher.statistics().resent == 2
        assert running.publisher.statistics().connected == second.address


async def test_a_batch_without_an_answer_goes_to_the_next_replica(start: Start, dispatcher: FakeDispatcher) -> None:
    async with fake_dispatcher() as other:
        dispatcher.responds = other.responds = False
        running = start(dispatcher.address, other.address, ack_timeout_ms=50)
        running.put(1)
        await eventually(lambda: bool(dispatcher.published and other.published))
        dispatcher.responds = other.responds = True
        await running.wait_published()


async def test_a_replica_that_a_node_cannot_reach_is_left_for_one_that_all_reach(start: Start) -> None:
    async with (
        RunningReplica() as lacking,
        RunningReplica() as whole,
        NodePeer(lacking.listen, "a") as a_there,
        NodePeer(whole.listen, "a") as a,
        NodePeer(whole.listen, "b") as b,
    ):
        for node in (a_there, a, b):
            await node.hello({"demo": 1})
        with capture_logs() as lines:
            running = start(lacking.listen, whole.listen, prefer=lacking.listen, look_ms=200)
            await eventually(lambda: running.publisher.statistics().connected == whole.listen)
        running.put(1)
        assert await b.receives(1)
        (left,) = [line for line in lines if line["event"] == "dispatcher left"]
        assert left["dispatcher"] == lacking.listen
        assert left["reason"] == f"nodes can't reach it: it has 1 of them, and {whole.listen} has 2"
        assert not [line for line in lines if line["event"] == "no dispatcher can be reached"]


async def test_a_slow_link_is_left_for_one_that_answers(start: Start, dispatcher: FakeDispatcher) -> None:
    async with fake_dispatcher() as slow:
        slow.responds = False
        slow.clock_answers.clear()
        with capture_logs() as lines:
            running = start(slow.address, dispatcher.address, prefer=slow.address, look_ms=200)
            running.put(1)
            await running.wait_published()
        assert dispatcher.published == [1]
        (left,) = [line for line in lines if line["event"] == "dispatcher left"]
        assert left["reason"] == f"its link is slow: {dispatcher.address} answers, and it doesn't"
        assert left["resent"] == 1


async def test_no_replica_for_a_while(start: Start, nowhere: str) -> None:
    running = start(nowhere)
    running.put(1, 2)
    await eventually(lambda: running.publisher.statistics().connected is None)
    async with serving(FakeDispatcher(), nowhere) as late:  # type: ignore[abstract]
        await running.wait_published()
        assert late.published == [1, 2]
    await eventually(lambda: running.publisher.statistics().connected is None)
    running.put(3)
    async with serving(FakeDispatcher(), nowhere) as back:  # type: ignore[abstract]
        await running.wait_published()
        assert back.published == [3]


async def test_a_full_backlog_ends_in_a_catch_up(start: Start, nowhere: str) -> None:
    running = start(nowhere, events=3)
    running.put(1, 2, 3, 4, 5)
    assert running.publisher.statistics().dropped == 2
    async with serving(FakeDispatcher(), nowhere) as dispatcher:  # type: ignore[abstract]
        await running.wait_published()
        assert dispatcher.catch_ups == [1]
        assert dispatcher.published == [3, 4, 5]


async def test_what_a_replica_refuses_is_left_to_history(start: Start, dispatcher: FakeDispatcher) -> None:
    dispatcher.refuses = grpc.StatusCode.INVALID_ARGUMENT
    running = start(dispatcher.address)
    running.put(1, 2)
    await eventually(lambda: running.publisher.statistics().dropped == 2)
    dispatcher.refuses = None
    await running.wait_published()
    assert dispatcher.catch_ups[-1] == 1


async def test_a_replica_that_fails_at_once_is_not_asked_without_pause(
    start: Start, dispatcher: FakeDispatcher
) -> None:
    dispatcher.refuses = grpc.StatusCode.INTERNAL
    running = start(dispatcher.address, backoff_min_ms=60_000, backoff_max_ms=60_000)
    running.put(1)
    await eventually(lambda: dispatcher.streams == 1 and running.publisher.statistics().resent == 1)
    dispatcher.refuses = None
    for _ in range(50):  # turns of the loop
        await asyncio.sleep(0)
    assert dispatcher.streams == 1


def saved(running: Running) -> tuple[int, bool] | None:
    found = running.watermark.read()
    return None if found is None else found[:2]


async def test_the_watermark_follows(start: Start, dispatcher: FakeDispatcher) -> None:
    running = start(dispatcher.address)
    dispatcher.responds = False
    running.put(5)
    running.publisher.begin(9, "demo")
    await eventually(lambda: saved(running) == (5, False))
    dispatcher.responds = True
    dispatcher.cut()
    await eventually(lambda: saved(running) == (9, False))
    running.publisher.abandon(9)
    await eventually(lambda: saved(running) == (10, False))


async def test_after_a_kill_no_id_is_given_again_that_was_ahead_of_the_clock(
    start: Start, nowhere: str, tmp_path: Path
) -> None:
    """Another service's clock is three seconds ahead, and this one's ids keep up with it."""
    running = start(nowhere, watermark_ms=60_000)
    ids = IdSource(0)
    ids.observe(first_id_at(wall_ms() + 3_000))
    last = [ids.next(wall_ms()) for _ in range(10_000)]
    for each in last:
        running.publisher.begin(each, "demo")
    after = IdSource(0)
    resumed_outbox(Watermark(tmp_path, 0), after, now_ms=wall_ms() + 500, lookback_ms=0, limits=LIMITS)
    assert after.next(wall_ms() + 500) > last[-1]


async def test_after_a_kill_no_id_is_given_again_though_the_clock_was_set_back(
    start: Start, nowhere: str, tmp_path: Path
) -> None:
    """The oldest unpublished id says nothing of the newest."""
    running = start(nowhere, watermark_ms=60_000)
    ids, now_ms = IdSource(0), wall_ms()
    last = [ids.next(now_ms + n) for n in range(0, 5_000, 10)]
    for each in last:
        running.publisher.begin(each, "demo")
    after = IdSource(0)
    resumed_outbox(Watermark(tmp_path, 0), after, now_ms=now_ms - 3_600_000, lookback_ms=0, limits=LIMITS)
    assert last[-1] < after.next(now_ms - 3_600_000) < first_id_at(now_ms + 4_990 + 2 * IDS_SAVED_MS)


async def test_a_busy_process_saves_its_ids_beside_its_work(
    start: Start, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(nowhere)
    running.publisher.begin(first_id_at(wall_ms()), "demo")

    def not_here(low_id: int) -> None:
        assert threading.current_thread() is not threading.main_thread()

    await eventually(lambda: running.publisher._ids_checked_below > first_id_at(wall_ms() + IDS_SAVED_MS // 2))
    monkeypatch.setattr(running.watermark, "write", not_here)
    running.publisher.begin(first_id_at(wall_ms() + 10), "demo")


async def test_a_clean_end_is_written(start: Start, dispatcher: FakeDispatcher) -> None:
    running = start(dispatcher.address)
    running.put(5)
    await running.publisher.close(timeout_ms=20_000)
    assert dispatcher.published == [5]
    assert running.watermark.read() == Saved(6, clean=True)


async def test_an_end_with_a_backlog_is_bounded_and_not_clean(start: Start, nowhere: str) -> None:
    running = start(nowhere)
    running.put(5)
    await running.publisher.close(timeout_ms=10)
    assert saved(running) == (5, False)


async def test_a_disk_that_can_not_be_written_is_survived(
    start: Start, dispatcher: FakeDispatcher, tmp_path: Path
) -> None:
    (tmp_path / "published-node0.new").mkdir()
    running = start(dispatcher.address)
    running.put(5)
    await running.wait_published()
    (tmp_path / "published-node0.new").rmdir()
    await eventually(lambda: saved(running) == (6, False))


async def test_whoever_waits_hears_when_it_is_published(start: Start, dispatcher: FakeDispatcher) -> None:
    dispatcher.responds = False
    running = start(dispatcher.address)
    running.publisher.begin(7, "demo")
    waiting = [asyncio.create_task(running.publisher.published(7)) for _ in range(2)]
    running.publisher.put(comment(7))
    await eventually(lambda: dispatcher.published == [7])
    waiting[0].cancel()  # a caller's patience ends
    dispatcher.responds = True
    dispatcher.cut()
    await eventually(lambda: dispatcher.published == [7, 7])
    assert await waiting[1]
    assert await running.publisher.published(7)


async def test_nobody_hears_that_nodes_have_what_is_left_to_a_catch_up(
    start: Start, dispatcher: FakeDispatcher
) -> None:
    running = start(dispatcher.address, events=2)
    running.publisher.begin(1, "demo")
    waiting = asyncio.create_task(running.publisher.published(1))
    await asyncio.sleep(0)
    running.publisher.put(comment(1))
    running.put(2, 3)  # the first is left to a catch-up
    assert not await waiting
    assert not await running.publisher.published(1)
    assert await running.publisher.published(3)
