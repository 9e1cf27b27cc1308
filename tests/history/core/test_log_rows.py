"""Rows of a log: what of them is seen, and that looking for it is bounded and passes over nothing"""

from hypothesis import given
from hypothesis import strategies as st

from history.core.log_rows import ROWS_MIN, LogRow, Looking, event_of
from history.core.model import Change, Comment, Comments, Gone, State

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
