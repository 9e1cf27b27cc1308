"""Outbox: its limits to the event and the byte, and what counts for them"""

from comment_service.core.outbox import EVENT_BYTES
from tests.comment_service.core.test_outbox import event, ids, outbox, put, take, video


def test_a_full_batch_is_as_many_events_or_bytes_as_go_in_one() -> None:
    box = outbox(batch=3)
    put(box, 1, 2)
    assert box.has_full_batch is False
    put(box, 3)
    assert box.has_full_batch is True
    for last, is_full in ((99, False), (100, True)):
        box = outbox(batch_bytes=EVENT_BYTES + 2 * EVENT_BYTES + 200)
        for event_id, size in ((1, 100), (2, last)):
            box.begin(event_id, video(event_id))
            box.put(event(event_id, bytes(size)))
        assert box.has_full_batch is is_full


def test_what_fits_exactly_goes_along() -> None:
    box = outbox(batch_bytes=EVENT_BYTES + 2 * EVENT_BYTES + 200)
    for event_id in (1, 2, 3):
        box.begin(event_id, video(event_id))
        box.put(event(event_id, bytes(100)))
    assert [ids(take(box)), ids(take(box))] == [[1, 2], [3]]


def test_what_is_in_flight_counts_for_both_bounds() -> None:
    box = outbox(batch=2, events=3)
    put(box, 1, 2)
    take(box)
    put(box, 3, 4)
    assert (box.backlog, box.events_in_flight, box.dropped) == (1, 2, 1)
    box = outbox(batch=2, bytes_max=3 * EVENT_BYTES)
    put(box, 1, 2)
    take(box)
    put(box, 3, 4)
    assert (box.backlog, box.events_in_flight, box.dropped) == (1, 2, 1)


def test_it_is_catching_up_from_the_order_to_its_answer() -> None:
    box = outbox()
    assert box.is_catching_up is False
    box.owe(3)
    assert box.is_catching_up is True
    order = take(box)
    assert (box.is_catching_up, box.bytes, box.events_in_flight) == (True, 0, 0)
    box.owe(2)
    assert box.is_catching_up is True
    box.answered(order.seq)
    assert box.is_catching_up is True
    box.answered(take(box).seq)
    assert box.is_catching_up is False


def test_a_catch_up_of_one_id_can_be_a_promise_and_a_batch_of_events_is_none() -> None:
    box = outbox(first_id=3)
    put(box, 5)
    box.owe(4)
    assert (take(box).catch_up_to_id, take(box).catch_up_to_id) == (4, 0)
