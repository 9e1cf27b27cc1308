"""Cuts rows into pieces for which there are statements: one statement for many rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

Row = TypeVar("Row")

ROWS_AT_ONCE = (256, 64, 16, 4, 1)
"""Rows of one statement. Python releases its lock around each statement, and has to get it back from a busy event
loop: with a statement for each row that took longer than SQLite, and twice the CPU."""


def statements(template: str, row: str) -> Mapping[int, str]:
    """For each of ROWS_AT_ONCE the statement; {rows} in the template becomes so many of `row`."""
    return {size: template.format(rows=", ".join([row] * size)) for size in ROWS_AT_ONCE}


def pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Each as long as one of ROWS_AT_ONCE, the longest first"""
    begin = 0
    while begin < len(rows):
        size = next(size for size in ROWS_AT_ONCE if size <= len(rows) - begin)
        yield rows[begin : begin + size]
        begin += size
