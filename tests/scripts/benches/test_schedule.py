"""scripts/benches/schedule.py"""

import json

from history.core.model import Author, Comment, comment_json
from scripts.benches.schedule import VIDEO, Line, Schedule, due_ns_of, frame_bytes, frame_parts

SCHEDULE = Schedule(start_ns=123_000_000_000, rate=4, count=6)


def test_comments_fall_due_at_a_steady_rate() -> None:
    assert [SCHEDULE.due_ns(number) - SCHEDULE.start_ns for number in range(3)] == [0, 250_000_000, 500_000_000]
    assert SCHEDULE.seconds == 1.5
    assert SCHEDULE.end_ns == 124_500_000_000


def test_what_is_due_is_asked_for_in_pieces() -> None:
    assert SCHEDULE.due_until(SCHEDULE.start_ns - 1, 0) == range(0)
    assert SCHEDULE.due_until(SCHEDULE.start_ns, 0) == range(1)
    assert SCHEDULE.due_until(SCHEDULE.start_ns + 500_000_000, 1) == range(1, 3)
    assert SCHEDULE.due_until(SCHEDULE.end_ns * 2, 3) == range(3, 6)
    assert due_ns_of(SCHEDULE.line(1).text.encode()) == SCHEDULE.due_ns(1)


def test_numbers_may_begin_anywhere() -> None:
    assert Schedule(5, rate=1, count=1, first=7).marker(0) == "c#000007 @T5 "


def test_every_server_sends_the_same_json_of_the_same_length() -> None:
    passed_on = json.loads(SCHEDULE.data(3))
    comment = Comment(3, VIDEO, Author("u1", "u1"), SCHEDULE.line(3).text, 1_700_000_000_000)
    assert passed_on == json.loads(comment_json(comment))
    before, behind = frame_parts()
    frame = before + SCHEDULE.marker(3) + behind
    assert json.loads(frame.partition("data: ")[2])["message"] == SCHEDULE.line(3).text
    assert len(frame) in range(frame_bytes() - 1, frame_bytes() + 2)


def test_what_people_said_is_said_again_and_again() -> None:
    schedule = Schedule(5, rate=1, count=3, lines=[Line("ann", "hi"), Line("bob", "ho")])
    users = [schedule.line(number).user for number in range(3)]
    assert users == ["ann", "bob", "ann"]
    assert schedule.line(1).text == f"c#000001 @T{5 + 10**9} ho"
