"""scripts/chat_log.py reads lines, and spreads equal times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.chat_log import BadLine, read, spread


@pytest.mark.parametrize(
    ("times_s", "due_s"),
    [
        ([], []),
        ([7], [0]),
        ([0, 0, 60, 60, 60], [0, 30, 60, 80, 100]),  # the last minute is as long as the one before
        ([120, 120, 120], [0, 20, 40]),  # a single group lasts a minute
        ([0, 0, 180], [0, 90, 180]),
        ([5, 4.5, 6], [0, 0.5, 1]),  # a line that goes back is due with the one before it
        ([0.25, 0.5, 1], [0, 0.25, 0.75]),  # exact times stay as they are
    ],
)
def test_equal_times_are_spread_up_to_the_next(times_s: list[float], due_s: list[float]) -> None:
    assert spread(times_s) == pytest.approx(due_s)


@given(st.lists(st.integers(0, 10_000).map(float), max_size=50))
def test_the_order_stays_and_no_line_is_early(times_s: list[float]) -> None:
    due_s = spread(times_s)
    assert len(due_s) == len(times_s)
    assert due_s == sorted(due_s)
    first_s = times_s[0] if times_s else 0
    assert all(due >= time - first_s - 1e-6 for due, time in zip(due_s, times_s, strict=True))


def test_a_byte_order_mark_is_passed_over() -> None:
    line = b'{"t": 0, "user": "ann", "text": "hi"}\r\n'
    entries, bad = read([b"\xef\xbb\xbf" + line, line])
    assert ([entry.text for entry in entries], bad) == (["hi", "hi"], [])


def test_reads_lines_and_reports_bad_ones() -> None:
    entries, bad = read(
        [
            b'{"t": 0, "user": "ann", "text": "hi", "kind": "chat"}\n',
            b"\n",
            b"not json\n",
            b'{"t": "0", "user": "ann", "text": "hi"}\n',
            b'{"t": 1, "user": "\xff", "text": "hi"}\n',
            '{"t": 2, "user": "bo", "text": "größer 🎉"}'.encode(),
        ]
    )
    assert [(entry.line, entry.due_s, entry.user, entry.text) for entry in entries] == [
        (1, 0, "ann", "hi"),
        (6, 2, "bo", "größer 🎉"),
    ]
    assert [line.line for line in bad] == [3, 4, 5]
    assert bad[1] == BadLine(4, "Expected `float`, got `str` - at `$.t`")


def test_a_limit_ends_the_reading() -> None:
    lines = iter([b'{"t": 0, "user": "a", "text": "1"}'] * 3)
    entries, bad = read(lines, limit=2)
    assert (len(entries), bad) == (2, [])
