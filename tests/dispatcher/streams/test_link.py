"""dispatcher/streams/link.py: order, numbers, one bound, and no batch that waits for a link that has ended."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.config import LinkLimits
from dispatcher.core.errors import Aborted, InvalidRequest
from dispatcher.streams import wire
from dispatcher.streams.link import ACK_MS_BOUNDS, AckLatency, Link
from dispatcher.streams.publisher import Batch, Publisher
from dispatcher.streams.wire import Part
from proto.dispatch_pb2 import BeatAck, CatchUpOrder, DispatcherMessage, InterestAck, Welcome
from tests.dispatcher.peers import batches, comment, ids_of

LIMITS = LinkLimits(
    outbox_events_max=10, outbox_bytes_max=10_000, deliver_events_max=4, deliver_bytes_max=5000, ack_ms_max=1000
)
NOW_MS = 1_700_000_000_000
BODY = wire.catch_up_body(CatchUpOrder(from_id=99), ())


class Counted(Publisher):
    """Hands out batches and says which are answered."""

    def __init__(self) -> None:
        super().__init__("peer", unanswered_max=1000, now_ms=lambda: NOW_MS)
        self.seqs: list[int] = []

    def done(self, seq: int) -> None:
        self.seqs.append(seq)

    def one(self, seq: int, smallest_id: int | None = None) -> Batch:
        return self.batch(seq, smallest_id or seq)


def link() -> Link:
    return Link(1, "rms-1", LIMITS, AckLatency())


def part(*ids: int, message: str = "hi") -> Part:
    (batch,) = batches(*(comment(comment_id, message=message) for comment_id in ids))
    return Part(wire.videos_field(batch.encoded), batch.events)


def queue(to: Link, publisher: Counted, *ids: int, message: str = "hi") -> bool:
    """One batch, whose seq is its first id"""
    batch = publisher.one(ids[0])
    fits = to.deliver_nowait(part(*ids, message=message), batch)
    batch.one_is_done()
    return fits


def sent(by: Link, now_ms: int = NOW_MS) -> list[DispatcherMessage]:
    """Everything that it sends now"""
    messages = []
    while encoded := by.next_message(now_ms):
        messages.append(DispatcherMessage.FromString(encoded))
    return messages


def ids(message: DispatcherMessage) -> list[int]:
    return ids_of(message.deliver)


async def test_what_was_queued_goes_as_one_delivery_behind_the_welcome() -> None:
    to, publisher = link(), Counted()
    queue(to, publisher, 1)
    queue(to, publisher, 2, 3)
    to.send_nowait(DispatcherMessage(welcome=Welcome(replica_id="d1")))
    to.send_nowait(DispatcherMessage(interest_ack=InterestAck(number=1)))
    welcome, ack, deliver = sent(to)
    assert welcome.welcome.replica_id == "d1"
    assert ack.interest_ack.number == 1
    assert (deliver.deliver.number, ids(deliver)) == (1, [1, 2, 3])


async def test_a_delivery_holds_a_bounded_number_of_events_and_bytes() -> None:
    to, publisher = link(), Counted()
    for first in (1, 4, 7):
        queue(to, publisher, first, first + 1, first + 2)
    assert [ids(message) for message in sent(to)] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    queue(to, publisher, 10, message="x" * 3000)
    queue(to, publisher, 11, message="x" * 3000)
    assert [ids(message) for message in sent(to)] == [[10], [11]]


async def test_acknowledgements_are_cumulative() -> None:
    to, publisher = link(), Counted()
    for first in (1, 4, 7):
        queue(to, publisher, first, first + 1, first + 2)
    sent(to)
    to.delivered(2, NOW_MS)
    assert publisher.seqs == [1, 4]
    assert to.statistics().unacked_events == 3
    to.delivered(3, NOW_MS)
    assert publisher.seqs == [1, 4, 7]
    assert to.statistics().delivered_events == 9


async def test_what_was_never_sent_cannot_be_acknowledged() -> None:
    with pytest.raises(InvalidRequest, match="delivery 1 was acknowledged, and the last one was 0"):
        link().delivered(1, NOW_MS)


async def test_queued_and_unacknowledged_events_share_one_bound() -> None:
    to, publisher = link(), Counted()
    assert queue(to, publisher, *range(1, 9))
    sent(to)
    assert queue(to, publisher, 9, 10)
    assert not queue(to, publisher, 11)
    assert "8 unacknowledged" in str(to.overflow())


async def test_the_outbox_is_bounded_in_bytes() -> None:
    to, publisher = link(), Counted()
    assert queue(to, publisher, 1, message="x" * 9000)
    assert not queue(to, publisher, 2, message="x" * 9000)


async def test_the_end_answers_everything_and_names_the_smallest_id_that_may_be_missing() -> None:
    to, publisher = link(), Counted()
    queue(to, publisher, 50)
    sent(to)
    to.delivered(1, NOW_MS)
    queue(to, publisher, 70)
    sent(to)
    catch_up = publisher.one(60)
    to.catch_up_nowait(BODY, catch_up)
    catch_up.one_is_done()
    queue(to, publisher, 80)
    reason = Aborted("the lease has expired")
    assert to.end(reason) == 60
    assert sorted(publisher.seqs) == [50, 60, 70, 80]
    assert to.ended.result() is reason
    assert to.end(None) is None
    assert to.ended.result() is reason


async def test_catch_ups_share_the_numbers_of_deliveries() -> None:
    to, publisher = link(), Counted()
    queue(to, publisher, 1)
    sent(to)
    batch = publisher.one(2)
    to.catch_up_nowait(BODY, batch)
    batch.one_is_done()
    (message,) = sent(to)
    assert (message.catch_up.number, message.catch_up.from_id) == (2, 99)
    to.delivered(2, NOW_MS)
    assert publisher.seqs == [1, 2]


async def test_a_delivery_or_a_catch_up_without_an_acknowledgement_is_overdue() -> None:
    to, publisher = link(), Counted()
    assert to.overdue(NOW_MS) is None
    to.catch_up_nowait(BODY, publisher.one(1))
    queue(to, publisher, 2)
    sent(to)
    assert to.overdue(NOW_MS + LIMITS.ack_ms_max) is None
    assert "delivery 1" in str(to.overdue(NOW_MS + LIMITS.ack_ms_max + 1))
    to.delivered(2, NOW_MS)
    assert to.overdue(NOW_MS + LIMITS.ack_ms_max + 1) is None


async def test_beats_that_nobody_reads_queue_one_answer() -> None:
    to = link()
    for _ in range(1000):
        to.send_beat_ack_nowait({})
    assert [message.WhichOneof("message") for message in sent(to)] == ["beat_ack"]


async def test_a_delivery_is_the_answer_to_a_beat_and_carries_its_sums() -> None:
    to, publisher = link(), Counted()
    to.send_beat_ack_nowait({"a": 1})
    queue(to, publisher, 1, 2, 3)
    queue(to, publisher, 4, 5, 6)
    first, second = sent(to)
    assert (ids(first), [video.viewers for video in first.deliver.viewers]) == ([1, 2, 3], [1])
    assert (ids(second), list(second.deliver.viewers)) == ([4, 5, 6], [])


async def test_a_delivery_says_how_long_its_acknowledgement_may_wait() -> None:
    to, publisher = link(), Counted()
    queue(to, publisher, 1)
    encoded = to.next_message(NOW_MS, ack_within_ms=300)
    assert encoded
    assert DispatcherMessage.FromString(encoded).deliver.ack_within_ms == 300


async def test_answers_to_beats_carry_the_latest_sums() -> None:
    to = link()
    to.send_beat_ack_nowait({"a": 1, "b": 1})
    to.send_beat_ack_nowait({"a": 2})
    (ack,) = sent(to)
    assert {video.video_id: video.viewers for video in ack.beat_ack.videos} == {"a": 2, "b": 1}
    to.send_beat_ack_nowait({})
    assert sent(to)[0].beat_ack == BeatAck()


async def test_how_long_acknowledgements_took_is_counted() -> None:
    latency = AckLatency()
    to, publisher = Link(1, "rms-1", LIMITS, latency), Counted()
    queue(to, publisher, 1)
    assert to.statistics().waiting_since_ms is None
    sent(to)
    assert (to.statistics().waiting_since_ms, to.statistics().acked_ms) == (NOW_MS, None)
    to.delivered(1, NOW_MS + 4)
    assert (to.statistics().waiting_since_ms, to.statistics().acked_ms) == (None, NOW_MS + 4)
    queue(to, publisher, 2)
    sent(to)
    to.delivered(2, NOW_MS + 60_000)
    assert latency.counts[ACK_MS_BOUNDS.index(5)] == 1
    assert latency.counts[-1] == 1
    assert latency.sum_ms == 60_004


@pytest.mark.parametrize(
    "give",
    [
        lambda to: to.send_nowait(DispatcherMessage(welcome=Welcome())),
        lambda to: to.send_beat_ack_nowait({}),
        lambda to: queue(to, Counted(), 1),
        lambda to: to.catch_up_nowait(BODY, Counted().one(2)),
    ],
)
async def test_every_kind_of_message_makes_it_ready_once(give: Callable[[Link], object]) -> None:
    to, ready = link(), list[str]()
    give(to)
    to.use(lambda: ready.append("at once"))
    assert ready == ["at once"]
    give(to)
    assert ready == ["at once"]  # the writer has not come to it yet
    to.next_message(NOW_MS)
    while to.rest():
        to.next_message(NOW_MS)
    give(to)
    assert ready == ["at once"] * 2


steps = st.lists(st.one_of(st.just("queue"), st.just("send"), st.integers(0, 30)), max_size=40)


@settings(max_examples=60)
@given(steps, st.booleans())
def test_every_batch_is_answered_once_whatever_happens(todo: list[str | int], ends: bool) -> None:
    async def story() -> None:
        to, publisher = link(), Counted()
        queued = last_sent = 0
        for step in todo:
            if step == "queue":
                queued += 1
                queue(to, publisher, queued)
            elif step == "send":
                numbers = [message.deliver.number for message in sent(to)]
                assert numbers == list(range(last_sent + 1, last_sent + 1 + len(numbers)))
                last_sent += len(numbers)
            elif isinstance(step, int) and step <= last_sent:
                to.delivered(step, NOW_MS)
        if ends:
            to.end(None)
            assert sorted(publisher.seqs) == list(range(1, queued + 1))
        statistics = to.statistics()
        assert statistics.delivered_events + statistics.outbox_events + statistics.unacked_events == (
            statistics.delivered_events if ends else queued
        )
        assert len(publisher.seqs) == len(set(publisher.seqs))

    asyncio.run(story())
