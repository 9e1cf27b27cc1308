"""rms/feed/polled.py: frames as JSON; what is cut off comes with the next answer, by its position"""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rms.feed.polled import Answers, answer_of, own_event
from rms.feed.sse import blank_frame, event_frame, frame, older_frame, position_frame

DATA = st.integers(0, 300).map(lambda size: json.dumps({"text": "ü:: \n" + "x" * size}).encode())
KIND = st.sampled_from(["comment", "deleted", "older", "blank", "position", "gap"])


def made(kind: str, position: bytes, data: bytes) -> bytes:
    if kind == "older":
        return older_frame(data)
    if kind == "gap":
        return event_frame("gap", {"reason": "x"}, position)
    if kind == "position":
        return position_frame(position)
    whole = frame(position, "deleted" if kind == "deleted" else "", data)
    return blank_frame(whole) if kind == "blank" else whole


@given(st.lists(st.tuples(KIND, DATA), max_size=30), st.integers(0, 2_000))
def test_answers_in_a_row_have_each_event_once(log: list[tuple[str, bytes]], bytes_max: int) -> None:
    # A viewer's older comments come first, and only a new one gets them.
    log = sorted(log, key=lambda each: each[0] != "older")
    frames = [made(kind, b"%d" % number, data) for number, (kind, data) in enumerate(log)]
    begin, position, events, answers = 0, "", [], 0
    while True:
        answer = answer_of(b"".join(frames[begin:]), position, bytes_max)
        events += json.loads(msgspec.json.encode(answer))["events"]
        answers += 1
        if not answer.more:
            break
        assert answer.position
        position = answer.position
        begin = int(position) + 1
    with_ids = [number for number, (kind, _) in enumerate(log) if kind != "older"]
    assert answer.position == (str(with_ids[-1]) if with_ids else "")
    expected = [
        ({} if kind == "older" else {"id": str(number)})
        | ({"event": kind} if kind in ("deleted", "gap") else {})
        | {"data": {"reason": "x"} if kind == "gap" else json.loads(data)}
        for number, (kind, data) in enumerate(log)
        if kind not in ("blank", "position")
    ]
    assert [*map(sorted, (event.items() for event in events))] == [*map(sorted, (each.items() for each in expected))]
    if bytes_max == 0:
        assert answers >= sum(kind != "older" for kind, _ in log) - 1


def test_a_word_of_the_node_has_no_id() -> None:
    assert msgspec.json.decode(msgspec.json.encode(own_event("viewers", {"viewers": 3}))) == {
        "event": "viewers",
        "data": {"viewers": 3},
    }


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "7"]), st.integers(0, 300)), max_size=30))
def test_a_remembered_answer_is_the_same_and_whoever_gets_it_may_change_it(asked: list[tuple[int, str, int]]) -> None:
    answers = Answers(bytes_max=500)
    for count, position, bytes_max in asked:
        frames = b"".join(made("comment", b"%d" % number, b'{"n":1}') for number in range(count))
        answer = answers.of(frames, position, bytes_max)
        assert answer == answer_of(frames, position, bytes_max)
        answer.events.append(own_event("viewers", {}))
        answer.position, answer.more = "changed", True
        assert sum(len(key[0]) for key in answers._known) <= 500


def test_the_same_frames_are_read_once() -> None:
    answers, frames = Answers(), made("comment", b"1", b"{}")
    first, second = (answers.of(frames, "", 100) for _ in range(2))
    assert first.events[0] is second.events[0]
