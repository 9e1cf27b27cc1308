"""An account is even when each acknowledged number stands once, whatever happened on the way."""

import json

from scripts.benches.accounts import Account, Balance, Posted, balance, faults_of, text_of
from scripts.sse_client import Event

POSTED = {number: Posted(f"{number:016x}", float(number), number + 0.5, "comment-service-1") for number in (1, 2, 3)}


def account(*events: tuple[str, dict[str, str]]) -> Account:
    """Of a viewer that got one event a second"""
    made = Account("viewers-1")
    for second, (name, data) in enumerate(events, 1):
        made.take(Event(name, json.dumps(data), ""), "10.0.0.1:9000", second)
    return made


def comment(number: int, comment_id: int | None = None) -> tuple[str, dict[str, str]]:
    return "message", {"id": f"{number if comment_id is None else comment_id:016x}", "message": text_of(number)}


def deleted(comment_id: int, stands_as: int) -> tuple[str, dict[str, str]]:
    return "deleted", {"id": f"{comment_id:016x}", "standsAs": f"{stands_as:016x}"}


def gap(after_id: int, before_id: int) -> tuple[str, dict[str, str]]:
    return "gap", {"from": f"{after_id:016x}", "to": f"{before_id:016x}", "reason": "too_long_ago"}


def test_all_came_once() -> None:
    assert balance([account(comment(1), comment(2), comment(3))], POSTED) == Balance()


def test_each_viewer_counts() -> None:
    one, other = account(comment(1), comment(2)), account(comment(1), comment(2), comment(2), comment(3), comment(1))
    assert balance([one, other], POSTED) == Balance(lost=1, doubled=2)
    assert faults_of(one, POSTED) == [f"c#3 {3:016x} lost"]
    assert faults_of(other, POSTED) == [f"{2:016x} came again", f"{1:016x} came again"]


def test_what_was_accepted_twice_stands_once_when_one_is_taken_back() -> None:
    twice = (comment(1), comment(2), comment(2, 0x22), comment(3))
    assert balance([account(*twice)], POSTED) == Balance(doubled=1)
    assert faults_of(account(*twice), POSTED) == [f"c#2 stands 2 times: {2:016x} {0x22:016x}"]
    assert balance([account(*twice, deleted(2, 0x22))], POSTED) == Balance()
    assert balance([account(comment(1), comment(2, 0x22), comment(3))], POSTED) == Balance()


def test_both_taken_back_is_lost() -> None:
    both = account(comment(1), comment(2), comment(2, 0x22), comment(3), deleted(2, 0x22), deleted(0x22, 2))
    assert balance([both], POSTED) == Balance(lost=1)


def test_what_a_gap_tells_is_not_lost() -> None:
    told = account(comment(1), gap(1, 3), comment(3))
    assert balance([told], POSTED) == Balance(in_gaps=1)
    assert faults_of(told, POSTED) == []
    assert balance([account(comment(1), gap(2, 3), comment(3))], POSTED) == Balance(lost=1)


def test_other_comments_and_events_are_nothing() -> None:
    other = account(comment(1), comment(2), comment(3), comment(9), ("viewers", {"count": "3"}))
    assert balance([other], POSTED) == Balance()
    assert (other.servers, other.gaps) == ({"10.0.0.1:9000"}, [])
