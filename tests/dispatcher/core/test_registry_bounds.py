"""dispatcher/core/registry.py at its bounds: the last moment of a lease, the last video, the last promise of a node"""

import pytest

from dispatcher.core.errors import LimitReached
from dispatcher.core.registry import Registry
from tests.dispatcher.core.test_registry import BEAT_MS, LEASE_MS, START_MS, after_a_beat, hello, registry


def beats(nodes: Registry, from_ms: int, to_ms: int) -> None:
    """This replica looks at its leases as often as it must, and none runs out."""
    for now_ms in (*range(from_ms, to_ms, BEAT_MS), to_ms):
        assert after_a_beat(nodes, now_ms) == ()


def test_a_lease_ends_after_its_last_millisecond() -> None:
    nodes = registry()
    nodes.hello(1, hello(), START_MS)
    nodes.heard(1, START_MS + 1000)
    beats(nodes, START_MS, START_MS + 1000 + LEASE_MS)
    assert after_a_beat(nodes, START_MS + 1001 + LEASE_MS) == (1,)


def test_after_a_stop_of_this_replica_a_node_has_a_whole_lease() -> None:
    nodes = registry()
    nodes.hello(1, hello(), START_MS)
    awake_ms = START_MS + 60_000
    beats(nodes, START_MS, START_MS + 1000)
    beats(nodes, awake_ms, awake_ms + LEASE_MS)
    assert after_a_beat(nodes, awake_ms + LEASE_MS + 1) == (1,)


def test_a_look_that_is_late_by_a_beat_is_no_stop() -> None:
    nodes = registry()
    nodes.hello(1, hello(), START_MS)
    for now_ms in range(START_MS, START_MS + LEASE_MS + 1, 2 * BEAT_MS):
        assert after_a_beat(nodes, now_ms) == ()
    assert after_a_beat(nodes, START_MS + LEASE_MS + 2 * BEAT_MS) == (1,)


def test_a_node_that_serves_as_many_videos_as_it_may_changes_some() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos=dict.fromkeys("abcd", 0)), START_MS)
    with pytest.raises(LimitReached, match="at most 4"):
        nodes.interest(1, ["e"], [], START_MS)
    with pytest.raises(LimitReached, match="at most 4"):
        nodes.interest(1, ["e", "f"], ["a", "never served"], START_MS)
    assert set(nodes.interests.videos_of(1)) == set("abcd")
    assert nodes.interest(1, ["e", "f"], ["a", "b"], START_MS)
    assert set(nodes.interests.videos_of(1)) == set("cdef")


def test_viewers_promised_to_a_node_that_dies_are_promised_to_another() -> None:
    nodes = registry()
    nodes.hello(1, hello("rms-1"), START_MS)
    for _ in range(3):
        placed = nodes.place("a")
        assert placed is not None
        assert placed.node.node_id == "rms-1"
    nodes.hello(2, hello("rms-2"), START_MS)
    assert nodes.end(1, START_MS)
    assert nodes.statistics().promised_viewers == 0
    placed = nodes.place("a")
    assert placed is not None
    assert (placed.node.node_id, placed.node.promised_viewers) == ("rms-2", 1)
    nodes.hello(3, hello("rms-1", incarnation=2), START_MS)
    nodes.beat(3, 0, {}, START_MS)
    assert [node.promised_viewers for node in nodes.nodes()] == [0, 1]


def test_a_stop_of_this_replica_for_a_little_more_than_two_beats_is_one() -> None:
    nodes = registry()
    nodes.hello(1, hello(), START_MS)
    beats(nodes, START_MS, START_MS + 1_500)
    assert after_a_beat(nodes, START_MS + 1_500 + 2 * BEAT_MS + 1) == ()
