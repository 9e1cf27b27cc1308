"""proto/log_limit.py: a flood is bounded and told, each kind apart"""

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from proto.log_limit import KINDS_MAX, LEFT_OUT, BoundedHandler
from tests.waiting import eventually

Write = Callable[..., None]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def handler(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[BoundedHandler]:
    handler = BoundedHandler(stream, lines_per_s_max=3)

    def told(event: str, **facts: object) -> None:
        handler.handle(record(event, 0.0, logging.WARNING, **facts))

    monkeypatch.setattr("proto.log_limit.log.warning", told)
    yield handler
    handler.close()


def record(event: str, created_s: float, level: int = logging.ERROR, **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("x", level, "", 0, {"event": event, **facts}, (), None)
    made.created = created_s
    return made


def foreign(message: str, created_s: float, *values: object) -> logging.LogRecord:
    made = logging.LogRecord("lib", logging.INFO, "", 0, message, values, None)
    made.created = created_s
    return made


def test_each_kind_has_its_bound_and_the_rest_is_counted(handler: BoundedHandler, stream: io.StringIO) -> None:
    for number in range(10):
        handler.handle(record("flood", 5.0 + number / 100, video=number))
    handler.handle(record("rare", 5.5))
    assert stream.getvalue().count("flood") == 3
    assert stream.getvalue().count("rare") == 1, "another kind's flood takes nothing from it"
    handler.handle(record("flood", 6.0))
    *_, told, last = stream.getvalue().splitlines()
    assert (LEFT_OUT in told, "'lines': 7" in told, "'of': 'flood'" in told) == (True, True, True)
    assert "flood" in last


def test_a_clock_that_goes_back_begins_another_second(handler: BoundedHandler, stream: io.StringIO) -> None:
    for second in (1000.0, 5.0):
        for _ in range(4):
            handler.handle(record("flood", second))
    assert stream.getvalue().count("'event': 'flood'") == 6


def test_a_library_s_lines_are_one_kind_whatever_the_values(handler: BoundedHandler, stream: io.StringIO) -> None:
    for number in range(10):
        handler.handle(foreign("bad peer %s", 5.0, number))
    assert stream.getvalue().count("bad peer") == 3


def test_kinds_are_bounded(handler: BoundedHandler, stream: io.StringIO) -> None:
    for number in range(5 * KINDS_MAX):
        handler.handle(foreign(f"made up {number}", 5.0))
    assert stream.getvalue().count("made up") == KINDS_MAX + 3


def test_what_operators_do_is_never_left_out(handler: BoundedHandler, stream: io.StringIO) -> None:
    for _ in range(10):
        handler.handle(record("comment erased", 5.0, logging.INFO))
    assert stream.getvalue().count("comment erased") == 10


async def test_a_flood_that_ends_is_told_though_nothing_follows(
    handler: BoundedHandler, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proto.log_limit.TELL_AFTER_S", 0.01)
    for _ in range(5):
        handler.handle(record("flood", 5.0))
    await eventually(lambda: "'lines': 2" in stream.getvalue())


def test_a_flood_at_the_process_s_end_is_told(handler: BoundedHandler, stream: io.StringIO) -> None:
    for _ in range(5):
        handler.handle(record("flood", 5.0))
    handler.close()
    assert stream.getvalue().count("'lines': 2") == 1
