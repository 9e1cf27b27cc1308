"""Outbox: nothing is lost between `begin` and `answered`, and the watermark is never too high"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from comment_service.core.outbox import EVENT_BYTES, Batch, Outbox, OutboxLimits, Publishable
from comment_service.publish.encoding import request
from dispatcher.checks import check_batch
from dispatcher.config import Config

DISPATCHER = Config.model_validate({})


def video(event_id: int) -> str:
    """Each event has its own, so that none waits for another: tests/comment_service/core/test_chains.py has that"""
    return f"v{event_id}"


def event(event_id: int, encoded: bytes = b"") -> Publishable:
    return Publishable(event_id, video(event_id), encoded)


def outbox(
    *,
    batch: int = 10,
    batch_bytes: int = 1 << 20,
    in_flight: int = 10,
    events: int = 100,
    bytes_max: int = 1 << 20,
    first_id: int = 0,
) -> Outbox:
    return Outbox(first_id, OutboxLimits(batch, batch_bytes, in_flight, events, bytes_max, 1_000))


def put(box: Outbox, *ids: int) -> None:
    for comment_id in ids:
        box.begin(comment_id, video(comment_id))
        box.put(event(comment_id))


def take(box: Outbox, now_ms: int = 0) -> Batch:
    batch = box.next_batch(now_ms)
    assert batch is not None
    return batch


def ids(batch: Batch) -> list[int]:
    return [each.id for each in batch.events]


def test_what_has_arrived_goes_in_one_batch() -> None:
    box = outbox(batch=3)
    put(box, 1, 2, 3, 4)
    assert ids(take(box)) == [1, 2, 3]
    assert ids(take(box)) == [4]
    assert box.next_batch(0) is None
    assert (box.backlog, box.events_in_flight, box.batches_in_flight) == (0, 4, 2)


def test_the_window_is_bounded() -> None:
    box = outbox(batch=1, in_flight=2)
    put(box, 1, 2, 3)
    first = take(box)
    take(box)
    assert box.next_batch(0) is None
    box.answered(first.seq)
    assert ids(take(box)) == [3]


def test_what_is_taken_back_goes_again_in_order_under_new_numbers() -> None:
    box = outbox(batch=2)
    put(box, 1, 2, 3, 4, 5)
    seqs = {take(box).seq, take(box).seq}
    assert box.take_back() == 4
    assert box.resent == 4
    again = take(box)
    assert ids(again) == [1, 2]
    assert again.seq not in seqs
    for seq in seqs:
        box.answered(seq)  # an answer on the old stream is ignored
    assert box.published == 0
    assert ids(take(box)) == [3, 4]


def test_a_full_backlog_is_left_to_a_catch_up_from_its_oldest() -> None:
    box = outbox(events=2)
    put(box, 1, 2, 3, 4)
    assert (box.backlog, box.dropped, box.catch_up_from_id, box.low_id()) == (2, 2, 1, 1)
    catch_up = take(box)
    assert (catch_up.catch_up_from_id, catch_up.events) == (1, ())
    assert ids(take(box)) == [3, 4]
    assert box.low_id() == 1
    box.answered(catch_up.seq)
    assert (box.catch_up_from_id, box.low_id()) == (None, 3)


def test_an_answer_in_doubt_is_none_until_the_event_is_sent_again() -> None:
    box = outbox()
    put(box, 1, 2)
    assert box.is_published(1) is None
    box.answered(take(box).seq, in_doubt=True)
    assert [box.is_published(each) for each in (1, 2)] == [False, False]
    put(box, 2)
    assert box.is_published(2) is None
    box.answered(take(box).seq)
    assert [box.is_published(each) for each in (1, 2)] == [False, True]
    put(box, 2, 3)
    box.answered(take(box).seq, in_doubt=True)
    assert [box.is_published(each) for each in (1, 2, 3)] == [False, False, False]


def test_a_batch_is_bounded_in_bytes() -> None:
    box = outbox(batch_bytes=EVENT_BYTES + 2 * EVENT_BYTES + 700)
    for event_id, size in ((1, 100), (2, 500), (3, 2_000), (4, 300), (5, 300), (6, 300)):
        box.begin(event_id, video(event_id))
        box.put(event(event_id, bytes(size)))
    assert box.has_full_batch
    assert [ids(take(box)) for _ in range(4)] == [[1, 2], [3], [4, 5], [6]], "one that is too large goes alone"
    assert (box.backlog, box.events_in_flight, box.bytes) == (0, 6, 3_500 + 6 * EVENT_BYTES)
    box.take_back()
    assert box.bytes == 3_500 + 6 * EVENT_BYTES
    again = take(box)
    assert ids(again) == [1, 2]
    box.answered(again.seq)
    assert box.bytes == 2_900 + 4 * EVENT_BYTES
    box.owe_in_flight()
    assert not box.is_empty
    while box.backlog:
        take(box)
    box.owe_in_flight()
    assert box.bytes == 0


def test_the_backlog_is_bounded_in_bytes() -> None:
    each = 100 + EVENT_BYTES
    box = outbox(bytes_max=3 * each)
    for event_id in range(1, 4):
        box.begin(event_id, video(event_id))
        box.put(event(event_id, bytes(100)))
    assert (box.backlog, box.dropped) == (3, 0)
    box.begin(4, video(4))
    box.put(event(4, bytes(101)))
    assert (box.backlog, box.dropped, box.catch_up_from_id, box.bytes) == (2, 2, 1, 2 * each + 1)


def test_one_catch_up_at_a_time() -> None:
    box = outbox(events=1)
    put(box, 1, 2)
    catch_up = take(box)
    put(box, 3)
    assert box.next_batch(0) is not None  # comment 3; the catch-up from 2 waits
    assert box.next_batch(0) is None
    box.answered(catch_up.seq)
    assert take(box).catch_up_from_id == 2


def test_a_catch_up_that_was_not_answered_is_sent_again() -> None:
    box = outbox()
    box.owe(7)
    take(box)
    assert box.take_back() == 0
    box.owe(9)
    assert take(box).catch_up_from_id == 7
    assert not box.is_empty


def test_what_a_replica_refuses_is_left_to_a_catch_up() -> None:
    box = outbox()
    put(box, 5, 6)
    take(box)
    box.owe_in_flight()
    assert take(box).catch_up_from_id == 5
    assert (box.backlog, box.events_in_flight, box.dropped) == (0, 0, 2)


def test_the_oldest_batch_has_the_time() -> None:
    box = outbox(batch=1)
    assert box.oldest_sent_ms() is None
    put(box, 1, 2)
    first = take(box, 10)
    take(box, 20)
    assert box.oldest_sent_ms() == 10
    box.answered(first.seq)
    assert box.oldest_sent_ms() == 20


def test_the_watermark_counts_an_id_before_it_is_durable() -> None:
    box = outbox(first_id=10)
    assert (box.low_id(), box.is_empty) == (11, True)
    box.begin(12, video(12))
    assert (box.low_id(), box.is_empty) == (12, False)
    box.begin(13, video(13))
    box.abandon(12)
    assert box.low_id() == 13
    box.put(event(13))
    box.answered(take(box).seq)
    assert (box.low_id(), box.is_empty) == (14, True)


BATCH_BYTES = EVENT_BYTES + 3 * EVENT_BYTES + 90
BYTES = 8 * EVENT_BYTES + 300


class OutboxMachine(RuleBasedStateMachine):
    """Any order of what can happen. `unpublished` is what a kill now would leave without a publish."""

    begun = Bundle("begun")
    sent = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.box = outbox(batch=3, in_flight=4, events=8, batch_bytes=BATCH_BYTES, bytes_max=BYTES)
        self.id = 0
        self.unpublished: set[int] = set()
        self.waiting: list[int] = []  # the backlog, as it should be
        self.left: set[int] = set()  # to a catch-up
        self.catching_up: dict[int, set[int]] = {}
        self.saved: list[int] = []

    @rule(target=begun, step=st.integers(1, 3))
    def begin(self, step: int) -> int:
        self.id += step
        self.box.begin(self.id, video(self.id))
        self.unpublished.add(self.id)
        return self.id

    @rule(comment_id=consumes(begun))
    def abandon(self, comment_id: int) -> None:
        self.box.abandon(comment_id)
        self.unpublished.remove(comment_id)

    @rule(comment_id=consumes(begun))
    def put(self, comment_id: int) -> None:
        self.waiting.append(comment_id)
        dropped_before = self.box.dropped
        self.box.put(event(comment_id, bytes(comment_id * 7 % 90)))
        for _ in range(self.box.dropped - dropped_before):
            self.left.add(self.waiting.pop(0))

    @rule(target=sent)
    def send(self):  # type: ignore[no-untyped-def] # hypothesis's `multiple` has no type of its own
        batch = self.box.next_batch(0)
        if batch is None:
            return multiple()
        assert ids(batch) == self.waiting[: len(batch.events)]
        del self.waiting[: len(batch.events)]
        assert batch.events or batch.catch_up_from_id
        assert len(batch.events) <= 3
        assert len(batch.events) == 1 or len(request(batch).SerializeToString()) <= BATCH_BYTES
        if batch.catch_up_from_id:
            assert batch.catch_up_from_id <= min(self.left)
            self.catching_up[batch.seq], self.left = self.left, set()
        return batch

    @rule(batch=consumes(sent))
    def answer(self, batch: Batch) -> None:
        was_in_flight = self.box.batches_in_flight
        self.box.answered(batch.seq)
        if self.box.batches_in_flight < was_in_flight:
            self.unpublished -= {*ids(batch), *self.catching_up.pop(batch.seq, set())}

    @rule()
    def cut(self) -> None:
        in_flight = list(self.box._in_flight.values())
        self.box.take_back()
        self.waiting[:0] = [comment_id for batch in in_flight for comment_id in ids(batch)]
        self._catch_ups_failed()

    @rule()
    def refuse(self) -> None:
        self.left |= {comment_id for batch in self.box._in_flight.values() for comment_id in ids(batch)}
        self.box.owe_in_flight()
        self._catch_ups_failed()

    def _catch_ups_failed(self) -> None:
        self.left |= {comment_id for failed in self.catching_up.values() for comment_id in failed}
        self.catching_up.clear()

    @precondition(lambda self: len(self.saved) < 5)
    @rule()
    def save(self) -> None:
        self.saved.append(self.box.low_id())

    @invariant()
    def no_saved_watermark_is_above_what_is_unpublished(self) -> None:
        for low_id in [*self.saved, self.box.low_id()]:
            assert all(low_id <= comment_id for comment_id in self.unpublished)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.box.backlog == len(self.waiting)
        assert self.box.backlog + self.box.events_in_flight <= 8 + 3 * 4
        waiting, in_flight = self.box._backlog, self.box._in_flight.values()
        in_flight_bytes = sum(each.bytes_max for batch in in_flight for each in batch.events)
        assert self.box.bytes == sum(each.bytes_max for each in waiting) + in_flight_bytes
        assert self.box.bytes <= max(BYTES, in_flight_bytes)

    @invariant()
    def empty_means_published(self) -> None:
        assert self.box.is_empty == (not self.unpublished)


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_history_hides_is_owed_once_it_can_be_read() -> None:
    box = outbox()
    put(box, 5, 6)
    box.answered(take(box).seq)
    box.hide(6)
    box.hide(5)
    assert (box.low_id(), box.catch_up_from_id, box.is_empty) == (5, None, False)
    assert box.next_batch(0) is None  # asking now would be too early
    box.show()
    catch_up = take(box)
    assert (catch_up.catch_up_from_id, box.low_id()) == (5, 5)
    box.answered(catch_up.seq)
    assert (box.low_id(), box.is_empty) == (7, True)
    box.show()
    assert box.next_batch(0) is None


def test_an_event_that_is_begun_twice_is_done_once_it_was_answered() -> None:
    """A retry of a comment that waits here itself: its Idempotency-Key may be forgotten meanwhile."""
    box = outbox(batch=1)
    put(box, 5, 6, 5)
    for batch in (take(box), take(box), take(box)):
        box.answered(batch.seq)
    assert (box.low_id(), box.is_empty) == (7, True)
    put(box, 8, 8)
    box.owe_in_flight()
    take(box)
    box.begin(8, video(8))
    box.owe_in_flight()
    box.abandon(8)
    assert box.catch_up_from_id == 8


def test_events_of_one_video_go_in_the_order_of_their_ids() -> None:
    box = outbox()
    for event_id in (5, 6, 7):
        box.begin(event_id, "v")
    box.put(Publishable(7, "v", b""))
    box.put(Publishable(6, "v", b""))
    assert box.next_batch(0) is None
    box.abandon(5)
    assert ids(take(box)) == [6, 7]


def test_a_batch_says_from_where_on_history_can_not_be_read_and_a_catch_up_how_far_it_can() -> None:
    box = outbox()
    put(box, 5, 6)
    assert take(box).hidden_from_id is None
    box.owe(3)
    catch_up = take(box)
    assert (catch_up.catch_up_from_id, catch_up.catch_up_to_id) == (3, 4), "5 is not answered yet"
    box.hide(6)
    put(box, 7)
    assert take(box).hidden_from_id == 6
    box.show()
    box.answered(1)
    box.answered(catch_up.seq)
    box.answered(3)
    again = take(box)
    assert (again.catch_up_from_id, again.catch_up_to_id, again.hidden_from_id) == (6, 7, None)


def test_a_catch_up_promises_nothing_while_some_can_not_be_read() -> None:
    """Nodes take a promise for the end of what is hidden. And a process that has left a spool, and the watermark at its
    first comment, owes from there on: dispatchers refuse a promise that ends before it begins."""
    for owed_id in (4, 5):
        box = outbox(first_id=8)
        box.owe(owed_id)
        box.hide(5)
        order = take(box)
        assert (order.catch_up_from_id, order.catch_up_to_id, order.hidden_from_id) == (owed_id, 0, 5)
        check_batch(request(order), DISPATCHER)


def test_a_catch_up_promises_nothing_that_is_still_to_be_answered() -> None:
    box = outbox(events=1)
    box.begin(5, "v5")
    put(box, 6, 7)
    order = take(box)
    assert (order.catch_up_from_id, order.catch_up_to_id) == (6, 0)
    check_batch(request(order), DISPATCHER)
