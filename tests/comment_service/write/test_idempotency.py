"""IdempotentWrites: one write for one key, whatever goes wrong beside it"""

import pytest

from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused
from comment_service.write.idempotency import Done, IdempotentWrites, Key
from history.core.model import Comment
from history.store import StoreUnavailable
from tests.comment_service.parts import ANN, comment

DRAFT = Draft("demo", ANN, "hi")
KEY = Key(ANN.id, "demo", "k")


class Caller:
    """Asks for writes, and keeps what it heard. A write is under way until the test ends it."""

    def __init__(self) -> None:
        self.writes = IdempotentWrites(entries_max=3, keep_ms=1000)
        self.under_way: list[Done] = []
        self.count = 0
        self.heard: list[Comment | Exception] = []

    def ask(self, key: Key = KEY, draft: Draft = DRAFT, now_ms: int = 0) -> None:
        self.writes.once(key, draft, self._write, self.heard.append, now_ms)

    def _write(self, done: Done) -> None:
        self.count += 1
        self.under_way.append(done)

    def end(self, outcome: Exception | None = None) -> None:
        self.under_way.pop(0)(outcome or comment(self.count))

    def write(self, key: Key = KEY, now_ms: int = 0) -> None:
        """A whole write, or none if the key is known"""
        self.ask(key, now_ms=now_ms)
        if self.under_way:
            self.end()


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_retries_get_the_first_comment(caller: Caller) -> None:
    for now_ms in (0, 1, 999):
        caller.write(now_ms=now_ms)
    assert caller.heard == [comment(1)] * 3
    assert caller.count == 1


def test_simultaneous_ones_share_a_write(caller: Caller) -> None:
    for _ in range(5):
        caller.ask()
    assert caller.heard == []
    caller.end()
    assert caller.heard == [comment(1)] * 5
    assert caller.count == 1


@pytest.mark.parametrize("is_written", [False, True])
def test_another_draft_under_the_same_key_is_refused(caller: Caller, is_written: bool) -> None:
    caller.ask()
    if is_written:
        caller.end()
    with pytest.raises(IdempotencyKeyReused):
        caller.ask(draft=Draft("demo", ANN, "something else"))
    assert len(caller.heard) == is_written


def test_keys_of_others_do_not_collide(caller: Caller) -> None:
    for key in (KEY, KEY._replace(author_id="other"), KEY._replace(video_id="other")):
        caller.write(key)
    assert caller.count == 3


def test_a_failed_write_is_tried_again(caller: Caller) -> None:
    caller.ask()
    caller.ask()
    error = StoreUnavailable("away")
    caller.end(error)
    assert caller.heard == [error] * 2
    assert len(caller.writes) == 0
    caller.write()
    assert caller.heard[2:] == [comment(2)]


def test_a_write_that_does_not_begin_leaves_nothing(caller: Caller) -> None:
    def refuse(_: Done) -> None:
        raise StoreUnavailable("full")

    with pytest.raises(StoreUnavailable):
        caller.writes.once(KEY, DRAFT, refuse, caller.heard.append, 0)
    assert len(caller.writes) == 0
    assert caller.heard == []


def test_old_and_too_many_are_dropped(caller: Caller) -> None:
    for number in range(5):
        caller.write(KEY._replace(key=str(number)))
    assert len(caller.writes) == 3
    caller.write(KEY._replace(key="4"), now_ms=999)
    assert caller.count == 5
    caller.write(KEY._replace(key="4"), now_ms=1000)
    assert caller.count == 6
    assert len(caller.writes) == 1


def test_a_write_that_was_dropped_meanwhile_ends_for_its_own_callers_only(caller: Caller) -> None:
    caller.ask()
    caller.ask(now_ms=1000)  # the first one is too old, and not over
    assert caller.count == 2
    caller.end(StoreUnavailable("away"))
    assert len(caller.heard) == 1
    assert len(caller.writes) == 1  # the second one
    caller.end()
    assert caller.heard[1:] == [comment(2)]
