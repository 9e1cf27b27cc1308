"""Rows of a log: what of them is seen, and that looking for it is bounded and passes over nothing"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from history.core.log_rows import (
    ROWS_MIN,
    LogRow,
    Looking,
    event_of,
    found_in,
    is_others,
    is_visible,
    restored_ids,
    taken_ids,
    with_restored,
)
from history.core.model import RESTORED, Author, Change, Comment, Comments, Found, Gone, State, comment_json

shapes = st.lists(st.sampled_from(["comment", "hidden", "erased", "event"]), max_size=400)


def row(row_id: int, shape: str) -> LogRow:
    if shape == "event":
        return LogRow(row_id, "", "", "", 0, 0, "pinned", 7)
    state = {"comment": State.VISIBLE, "hidden": State.HIDDEN, "erased": State.ERASED}[shape]
    return LogRow(row_id, "ann", "Ann", "hi", 1, state)


@given(shapes, st.integers(1, 60), st.integers(1, 120))
def test_calls_are_bounded_and_together_they_pass_over_nothing(shapes: list[str], limit: int, rows_max: int) -> None:
    rows = [row(n + 1, shape) for n, shape in enumerate(shapes)]
    found: list[int] = []
    begin, calls = 0, 0
    while True:
        looking, examined, calls = Looking("v", limit, rows_max), 0, calls + 1
        at = begin
        page: Comments | None = None
        while page is None:
            some = rows[at : at + looking.size]
            at += len(some)
            examined += len(some)
            page = looking.take(some)
        assert len(page.comments) <= limit
        assert examined <= max(limit, rows_max)
        found += [each.id for each in page.comments]
        if page.next_id is None:
            break
        assert page.next_id > begin
        begin = page.next_id  # ids count from 1
    assert found == [each.id for each in rows if not each.state and not each.kind]
    assert calls <= 1 + len(found) / limit + len(rows) / min(limit, rows_max)


def test_reads_grow_where_little_is_seen() -> None:
    looking = Looking("v", 10, 2_000)
    sizes = []
    begin = 1
    while True:
        sizes.append(looking.size)
        if looking.take([row(n, "erased") for n in range(begin, begin + looking.size)]) is not None:
            break
        begin += looking.size
    assert sizes == [10, ROWS_MIN, 200, 400, 800, 490]


def test_what_a_row_is() -> None:
    assert isinstance(event_of("v", row(1, "comment")), Comment)
    assert event_of("v", row(1, "hidden")) == event_of("v", row(1, "erased")) == Gone(1, "v")
    assert event_of("v", row(1, "event")) == Change(1, "v", "pinned", 7)


COMMENT = Comment(5, "v", Author("ann", "Ann"), "hi", 1)
OWN = LogRow(5, "ann", "Ann", "hi", 1, State.VISIBLE)
CHANGE = Change(6, "v", RESTORED, 5, b"", "", 0)
CHANGED = LogRow(6, "", "", "", 0, 0, RESTORED, 5)


def test_a_comment_s_row() -> None:
    assert OWN.target_id == OWN.up_to_id == OWN.after_id == 0
    assert [is_visible(row(1, shape)) for shape in ("comment", "hidden", "erased", "event")] == [True, *[False] * 3]
    assert not is_visible(LogRow(1, "", "", "", 0, State.ERASED, "pinned"))
    assert found_in("v", CHANGED, 9) is None
    erased = LogRow(5, "ann", "Ann", "hi", 1, State.ERASED, target_id=4)
    found = found_in("v", erased, 9)
    assert found == Found(State.ERASED, COMMENT, 9, 4)


@pytest.mark.parametrize(
    ("row", "event", "is_anothers"),
    [
        (OWN, COMMENT, False),
        (replace(OWN, state=State.HIDDEN), COMMENT, False),
        (replace(OWN, author_id="ben"), COMMENT, True),
        (replace(OWN, author_name="Ben"), COMMENT, True),
        (replace(OWN, message="ho"), COMMENT, True),
        (replace(OWN, created_at_ms=2), COMMENT, True),
        (CHANGED, COMMENT, True),
        (LogRow(5, "", "", "", 0, State.ERASED), COMMENT, False),
        (LogRow(5, "", "", "", 1, State.ERASED), COMMENT, False),
        (LogRow(5, "", "", "", 2, State.ERASED), COMMENT, True),
        (LogRow(5, "", "", "", -1, State.ERASED), COMMENT, True),
        (LogRow(5, "", "", "", 5, State.ERASED), Comment(5, "v", Author("ann", "Ann"), "hi", 7), True),
        (CHANGED, CHANGE, False),
        (replace(CHANGED, kind="hidden"), CHANGE, True),
        (replace(CHANGED, target_id=4), CHANGE, True),
        (replace(CHANGED, up_to_id=4), CHANGE, True),
        (OWN, CHANGE, True),
    ],
)
def test_whose_a_row_is(row: LogRow, event: Comment | Change, is_anothers: bool) -> None:
    assert is_others(row, event) is is_anothers
    assert taken_ids({("v", event.id): row}, [event]) == ([event.id] if is_anothers else [])


def test_an_id_without_a_row_is_free() -> None:
    assert taken_ids({("v", 5): CHANGED}, [CHANGE, replace(COMMENT, video_id="w")]) == []


def test_restored_comments_come_with_their_text_if_they_can_be_seen() -> None:
    hidden = Change(7, "v", "hidden", 5)
    unseen = replace(CHANGE, target_id=4)
    events: list[Comment | Change | Gone] = [COMMENT, CHANGE, hidden, unseen]
    assert restored_ids(events) == [5, 4]
    assert with_restored(events, {5: COMMENT}) == [
        COMMENT,
        replace(CHANGE, data=comment_json(COMMENT)),
        hidden,
        unseen,
    ]


def test_where_looking_ends() -> None:
    def seen(number: int) -> LogRow:
        return row(number, "comment")

    def unseen(number: int) -> LogRow:
        return row(number, "erased")

    cases: list[tuple[list[LogRow], int | None]] = [
        ([seen(1), seen(2)], 2),
        ([seen(1)], None),
        ([seen(1), unseen(2)], 2),
        ([], None),
    ]
    for rows, next_id in cases:
        page = Looking("v", 2, 1).take(rows)
        assert page is not None
        assert page.next_id == next_id
    looking = Looking("v", 2, 200)
    assert looking.take([unseen(1), seen(2)]) is None
    page = looking.take([seen(3), unseen(4), seen(5)])
    assert page is not None
    assert ([each.id for each in page.comments], page.next_id) == ([2, 3], 3), "no more than were asked for"
    looking = Looking("v", 2, 200)
    assert looking.take([unseen(1), seen(2)]) is None
    page = looking.take([unseen(3), seen(4)])
    assert page is not None
    assert ([each.id for each in page.comments], page.next_id) == ([2, 4], None), "the last row of all"
    looking = Looking("v", 2, 3)
    assert looking.take([unseen(1), unseen(2)]) is None, "one row more may be looked at"
    assert looking.size == 1
    looking = Looking("v", 2, 200)
    assert looking.take([unseen(1), unseen(2)]) is None
    page = looking.take([unseen(3), seen(4), seen(5)])
    assert page is not None
    assert ([each.id for each in page.comments], page.next_id) == ([4, 5], None)
