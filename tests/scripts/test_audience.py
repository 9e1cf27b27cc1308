"""scripts/audience.py: judge() finds every comment that is lost, doubled or disordered."""

import asyncio
import math
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.audience import Audience, Record, judge, percentile
from scripts.sse_client import Refused
from tests.scripts.test_sse_client import Scripted, served


def record(*arrivals: str) -> Record:
    """A viewer that read one comment a second, beginning at second 1"""
    seen = Record()
    for second, comment_id in enumerate(arrivals, 1):
        seen.arrived(comment_id, second)
    return seen


def test_nothing_is_lost() -> None:
    verdict = judge([record("a", "b"), record("a", "b")], {"a": 0.5, "b": 1.5})
    assert str(verdict) == "lost=0 doubled=0 disordered=0 p50_ms=500.0 p99_ms=500.0"


def test_each_fault_is_counted_for_each_viewer() -> None:
    verdict = judge([record("a"), record("b", "a", "a"), record()], {"a": 0, "b": 0})
    assert (verdict.lost, verdict.doubled, verdict.disordered) == (1 + 2, 1, 1)


def test_the_comments_of_others_do_not_count() -> None:
    verdict = judge([record("z", "a", "z")], {"a": 0})
    assert (verdict.lost, verdict.doubled, verdict.disordered) == (0, 0, 0)


def test_without_arrivals_there_is_no_latency() -> None:
    assert math.isnan(judge([record()], {"a": 0}).p50_ms)


@given(st.lists(st.sampled_from("abcdef"), max_size=12), st.sets(st.sampled_from("abcdef")))
def test_judge_agrees_with_plain_counting(arrivals: list[str], acknowledged: set[str]) -> None:
    verdict = judge([record(*arrivals)], dict.fromkeys(acknowledged, 0.0))
    assert verdict.lost == len(acknowledged - set(arrivals))
    assert verdict.doubled == sum(arrivals.count(each) - 1 for each in acknowledged & set(arrivals))


@given(st.lists(st.integers(0, 99).map(float), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert all(sum(v <= other for v in values) * 100 < percent * len(values) for other in values if other < found)


def frame(comment_id: str, position: str) -> bytes:
    return f'id: {position}\ndata: {{"id": "{comment_id}", "message": "x"}}\n\n'.encode()


async def test_viewers_survive_cuts_and_a_duplicate_is_counted() -> None:
    server = Scripted(frame("a", "1") + b"!", frame("a", "1") + frame("b", "2"), *[b""] * 100)
    async with served(server) as base:
        audience = Audience(f"{base}/comments/v", 1)
        async with audience.watching(10):
            assert await audience.wait_for({"a", "b"}, 10)
            assert not await audience.wait_for({"c"}, 0.01)
    assert audience.reconnects >= 1
    assert judge(audience.records, {"a": 0, "b": 0}).doubled == 1


async def test_each_event_is_told_and_sockets_are_made_as_asked() -> None:
    told: list[tuple[int, str]] = []
    made: list[socket.socket] = []

    def socket_of() -> socket.socket:
        made.append(socket.socket())
        made[-1].setblocking(False)
        return made[-1]

    gap = b"event: gap\ndata: {}\n\n"
    async with served(Scripted(frame("a", "1") + gap, *[b""] * 100)) as base:
        audience = Audience(
            f"{base}/comments/v",
            1,
            on_event=lambda number, event: told.append((number, event.name)),
            socket_of=socket_of,
        )
        async with audience.watching(10):
            assert await audience.wait_for({"a"}, 10)
    assert told[:2] == [(0, "message"), (0, "gap")]
    assert made


async def test_a_refusal_of_a_viewer_is_raised() -> None:
    async with served(Scripted()) as base:
        with pytest.raises(Refused):
            async with asyncio.timeout(10), Audience(f"{base}/nothing", 2).watching(10):
                pass


async def test_viewers_that_cannot_connect_in_time_raise_a_timeout() -> None:
    async with served(Scripted()) as base:
        pass
    with pytest.raises(TimeoutError):
        async with Audience(f"{base}/comments/v", 2).watching(0.05):
            pass
