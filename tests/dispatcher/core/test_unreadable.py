"""What services have said about their spools is known for a while, and for so many of them"""

from dispatcher.core.unreadable import UnreadableEvents


def test_the_last_word_of_each_counts() -> None:
    unreadable = UnreadableEvents(keep_ms=1_000, services_max=10)
    unreadable.note(1, 500, now_ms=0)
    unreadable.note(2, 300, now_ms=10)
    unreadable.note(1, 700, now_ms=20)
    assert dict(unreadable.all(20)) == {1: 700, 2: 300}
    unreadable.clear(2)
    unreadable.clear(9)
    assert unreadable.all(20) == [(1, 700)]


def test_it_is_forgotten_after_a_while_and_bounded_in_number() -> None:
    unreadable = UnreadableEvents(keep_ms=1_000, services_max=2)
    for service in range(3):
        unreadable.note(service, 5, now_ms=service * 600)
    assert dict(unreadable.all(1_200)) == {1: 5, 2: 5}
    assert dict(unreadable.all(1_700)) == {2: 5}


def test_the_word_of_a_service_that_is_connected_lasts() -> None:
    unreadable = UnreadableEvents(keep_ms=1_000, services_max=10)
    unreadable.note(1, 500, now_ms=0)
    unreadable.note(2, 300, now_ms=0)
    for now_ms in (900, 1_800):
        unreadable.stays(1, now_ms)
        unreadable.stays(9, now_ms)  # has said nothing yet
    assert unreadable.all(2_800) == [(1, 500)]
    assert unreadable.all(2_801) == []
