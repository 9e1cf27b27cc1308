"""dispatcher/core/registry.py: whatever the order of events, the maps agree, and a route is who lives and serves."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dispatcher.core.errors import Aborted, LimitReached
from dispatcher.core.life import State
from dispatcher.core.node import Hello
from dispatcher.core.placement import PlacementPolicy
from dispatcher.core.registry import Registry, RegistryLimits
from dispatcher.core.seating import rank

START_MS = 1_700_000_000_000
BEAT_MS = 500
LEASE_MS = 2000
LIMITS = RegistryLimits(
    lease_ms=LEASE_MS,
    beat_ms=BEAT_MS,
    nodes_max=3,
    videos_per_node_max=4,
    recent_s=60,
    ids_behind_ms_max=10_000,
    placement=PlacementPolicy(nearly_full=0.9, spill_viewers=3, load_bound=1.25, idle_load=0.1, looked_at_max=4),
)
NODES = ("rms-1", "rms-2", "rms-3", "rms-4")
VIDEOS = ("a", "b", "c", "d", "e")


def hello(node_id: str = "rms-1", incarnation: int = 1, videos: dict[str, int] | None = None, **more: int) -> Hello:
    return Hello(
        node_id=node_id,
        incarnation=incarnation,
        public_url=f"http://{node_id}:8000",
        capacity_viewers=more.get("capacity_viewers", 10),
        viewers=more.get("viewers", 0),
        videos=videos or {},
        silent_ms=more.get("silent_ms"),
        draining=bool(more.get("draining", 0)),
    )


def registry() -> Registry:
    return Registry(LIMITS, START_MS)


def after_a_beat(nodes: Registry, now_ms: int) -> tuple[int, ...]:
    """What a replica does every `beat_ms`. Returns the sessions that have expired."""
    expired = nodes.expired(now_ms)
    assert all(nodes.expire(session, now_ms) for session in expired)
    nodes.housekeep(now_ms)
    return expired


@dataclass
class Registered:
    """What the model knows of a session"""

    node_id: str
    incarnation: int
    heard_ms: int
    draining: bool = False
    videos: dict[str, int] = field(default_factory=dict)


class AnyOrder(RuleBasedStateMachine):
    """Messages of living, ended and never begun sessions in any order, against a model of one dict."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = registry()
        self.now_ms = self.looked_ms = self.awake_ms = START_MS
        self.sessions = 0
        self.live: dict[int, Registered] = {}

    any_session = st.integers(1, 12)
    some_videos = st.lists(st.sampled_from(VIDEOS), max_size=4)
    video_counts = st.dictionaries(st.sampled_from(VIDEOS), st.integers(0, 5), max_size=5)

    def current(self, node_id: str) -> int | None:
        return next((session for session, known in self.live.items() if known.node_id == node_id), None)

    @rule(node_id=st.sampled_from(NODES), incarnation=st.integers(1, 3), videos=video_counts, draining=st.booleans())
    def says_hello(self, node_id: str, incarnation: int, videos: dict[str, int], draining: bool) -> None:
        self.sessions += 1
        before = self.current(node_id)
        message = hello(node_id, incarnation, videos, draining=draining)
        if before is not None and self.live[before].incarnation > incarnation:
            with pytest.raises(Aborted):
                self.registry.hello(self.sessions, message, self.now_ms)
        elif len(videos) > LIMITS.videos_per_node_max or (before is None and len(self.live) == LIMITS.nodes_max):
            with pytest.raises(LimitReached):
                self.registry.hello(self.sessions, message, self.now_ms)
        else:
            assert self.registry.hello(self.sessions, message, self.now_ms) == before
            self.live.pop(before or -1, None)
            self.live[self.sessions] = Registered(node_id, incarnation, self.now_ms, draining, dict(videos))

    @rule(session=any_session, viewers=st.integers(0, 12), videos=video_counts, draining=st.booleans())
    def beats(self, session: int, viewers: int, videos: dict[str, int], draining: bool) -> None:
        known = self.live.get(session)
        assert self.registry.beat(session, viewers, videos, self.now_ms, draining) == (known is not None)
        if known:
            known.heard_ms = self.now_ms
            known.draining = draining
            known.videos.update({video: count for video, count in videos.items() if video in known.videos})

    @rule(session=any_session, joined=some_videos, left=some_videos)
    def changes_interest(self, session: int, joined: list[str], left: list[str]) -> None:
        known = self.live.get(session)
        if known is None:
            assert not self.registry.interest(session, joined, left, self.now_ms)
            return
        known.heard_ms = self.now_ms
        kept = {video: count for video, count in known.videos.items() if video not in left or video in joined}
        after = dict.fromkeys(joined, 0) | kept
        if len(after) > LIMITS.videos_per_node_max:
            with pytest.raises(LimitReached):
                self.registry.interest(session, joined, left, self.now_ms)
        else:
            assert self.registry.interest(session, joined, left, self.now_ms)
            known.videos = after

    @rule(session=any_session)
    def acknowledges(self, session: int) -> None:
        assert self.registry.heard(session, self.now_ms) == (session in self.live)
        if session in self.live:
            self.live[session].heard_ms = self.now_ms

    @rule(session=any_session)
    def stream_ends(self, session: int) -> None:
        assert self.registry.end(session, self.now_ms) == (session in self.live)
        self.live.pop(session, None)

    @rule(passes_ms=st.integers(0, 2 * BEAT_MS))
    def looks_at_leases(self, passes_ms: int) -> None:
        self.now_ms += passes_ms
        self.looked_ms = self.now_ms
        silent = {
            session
            for session, known in self.live.items()
            if max(known.heard_ms, self.awake_ms) < self.now_ms - LEASE_MS
        }
        assert set(after_a_beat(self.registry, self.now_ms)) == silent
        for session in silent:
            del self.live[session]

    @rule(passes_ms=st.integers(2 * BEAT_MS + 1, 3 * LEASE_MS))
    def was_stopped_itself(self, passes_ms: int) -> None:
        self.now_ms = self.awake_ms = self.looked_ms = self.looked_ms + max(passes_ms, self.now_ms - self.looked_ms)
        assert after_a_beat(self.registry, self.now_ms) == ()

    @rule(video_id=st.sampled_from(VIDEOS), excluded=st.sets(st.sampled_from(NODES), max_size=2))
    def is_asked_for_a_place(self, video_id: str, excluded: set[str]) -> None:
        before = {node.session: node for node in self.registry.nodes()}
        placed = self.registry.place(video_id, excluded)
        if placed is None:
            assert all(
                n.viewers + n.promised_viewers >= n.capacity_viewers
                or n.node_id in excluded
                or n.state is State.DRAINING
                for n in before.values()
            )
        else:
            assert placed.node.node_id not in excluded
            was = before[placed.node.session]
            assert was.state is State.LIVE
            assert was.viewers + was.promised_viewers < was.capacity_viewers
            assert placed.node.promised_viewers == was.promised_viewers + 1

    @invariant()
    def routes_are_the_living_who_serve(self) -> None:
        for video_id in VIDEOS:
            serving = [session for session, known in self.live.items() if video_id in known.videos]
            assert list(self.registry.interests.route(video_id)) == sorted(
                serving,
                key=lambda s: rank(video_id, self.live[s].node_id),
            )
            view = self.registry.interests.video(video_id)
            if not serving:
                assert view is None
            else:
                assert view is not None
                assert view.viewers == sum(self.live[session].videos[video_id] for session in serving)
                assert view.node_ids == tuple(sorted(self.live[session].node_id for session in serving))

    @invariant()
    def both_maps_agree(self) -> None:
        assert {node.session: node.node_id for node in self.registry.nodes()} == {
            session: known.node_id for session, known in self.live.items()
        }
        assert all((node.state is State.DRAINING) == self.live[node.session].draining for node in self.registry.nodes())
        for session in range(1, 13):
            known = self.live.get(session)
            assert set(self.registry.interests.videos_of(session)) == (known.videos.keys() if known else set())
        statistics = self.registry.statistics()
        assert statistics.interests == sum(len(known.videos) for known in self.live.values())
        assert statistics.videos == len({video for known in self.live.values() for video in known.videos})
        assert statistics.draining_nodes == sum(known.draining for known in self.live.values())
        assert statistics.promised_viewers == sum(node.promised_viewers for node in self.registry.nodes())


AnyOrder.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
test_any_order = AnyOrder.TestCase


def test_a_newer_incarnation_replaces_an_older_one_and_never_the_reverse() -> None:
    nodes = registry()
    assert nodes.hello(1, hello(incarnation=5, videos={"a": 1}), START_MS) is None
    with pytest.raises(Aborted, match="incarnation 5, yours is 4"):
        nodes.hello(2, hello(incarnation=4, videos={"b": 1}), START_MS)
    assert nodes.interests.route("a") == (1,)
    assert nodes.hello(3, hello(incarnation=6, videos={"b": 1}), START_MS) == 1
    assert (nodes.interests.route("a"), nodes.interests.route("b")) == ((), (3,))
    assert not nodes.interest(1, ["a"], [], START_MS)
    assert not nodes.end(1, START_MS)
    assert (nodes.interests.route("a"), nodes.interests.route("b")) == ((), (3,))


def test_a_video_that_is_joined_and_left_at_once_is_joined() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 2}), START_MS)
    nodes.interest(1, ["a", "b"], ["a", "b"], START_MS)
    assert set(nodes.interests.videos_of(1)) == {"a", "b"}


def test_routes_are_in_an_order_of_the_videos_own_whoever_came_first() -> None:
    orders = set()
    for order in (NODES[:3], NODES[2::-1]):
        nodes = registry()
        for session, node_id in enumerate(order):
            nodes.hello(session, hello(node_id, videos={"a": 0}), START_MS)
        orders.add(tuple(order[session] for session in nodes.interests.route("a")))
    assert len(orders) == 1


def come_back(nodes: Registry, now_ms: int, silent_ms: int | None = None) -> int | None:
    """The same node says hello on a new stream. Returns the id from which it must catch up."""
    session = now_ms
    nodes.hello(session, replace(hello(videos={"a": 1}), silent_ms=silent_ms), now_ms)
    return nodes.catch_up_from(session, now_ms)


def test_a_node_without_videos_has_missed_nothing() -> None:
    nodes = registry()
    nodes.published(7, START_MS)
    nodes.hello(1, hello(silent_ms=10_000), START_MS + 1000)
    assert nodes.catch_up_from(1, START_MS + 1000) is None


def test_a_node_that_is_new_here_may_have_missed_all_since_the_start() -> None:
    nodes = registry()
    nodes.published(7, START_MS)
    nodes.published(9, START_MS + 30_000)
    assert come_back(nodes, START_MS + 31_000) == 7


def test_a_node_that_was_here_has_missed_what_came_since() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 1}), START_MS)
    nodes.published(7, START_MS + 1000)
    nodes.end(1, START_MS + 5000)
    assert come_back(nodes, START_MS + 10_000, silent_ms=5000) is None
    nodes.end(START_MS + 10_000, START_MS + 11_000)
    nodes.published(8, START_MS + 15_000)
    assert come_back(nodes, START_MS + 20_000, silent_ms=9000) == 8


def test_a_node_that_was_stopped_and_believes_that_it_heard_everything_is_corrected() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 1}), START_MS)
    nodes.end(1, START_MS + 2000)
    nodes.published(8, START_MS + 4000)
    assert come_back(nodes, START_MS + 20_000, silent_ms=1) == 8


def test_what_a_link_did_not_deliver_counts_as_published_when_it_ends() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 1}), START_MS)
    nodes.published(7, START_MS + 1000)
    nodes.end(1, START_MS + 20_000)
    nodes.published(7, START_MS + 20_000)
    assert come_back(nodes, START_MS + 21_000, silent_ms=900) == 7


def test_a_new_incarnation_of_a_node_does_not_inherit_what_the_old_one_has() -> None:
    nodes = registry()
    nodes.published(7, START_MS)
    nodes.hello(1, hello(videos={"a": 1}), START_MS)
    nodes.end(1, START_MS + 5000)
    assert come_back(nodes, START_MS + 10_000, silent_ms=1) is None
    nodes.hello(2, hello(incarnation=2, videos={"a": 1}), START_MS + 11_000)
    assert nodes.catch_up_from(2, START_MS + 11_000) == 7


def test_a_node_that_was_silent_for_longer_than_known_reads_from_its_silence() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 1}), START_MS)
    nodes.published(7, START_MS + 10_000)
    nodes.end(1, START_MS + 20_000)
    assert come_back(nodes, START_MS + 21_000, silent_ms=11_000) == 7


def test_those_who_went_long_ago_are_purged() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 1}), START_MS)
    nodes.end(1, START_MS)
    later_ms = START_MS + LIMITS.recent_s * 1000 + 1
    after_a_beat(nodes, later_ms)
    nodes.published(7, later_ms)
    assert len(nodes._missed) == 0
    from_id = come_back(nodes, later_ms, silent_ms=later_ms - START_MS)
    assert from_id is not None
    assert from_id < START_MS << 16


# Placement, as far as the registry's own


def test_promised_viewers_fill_a_node_until_its_beats_count_them() -> None:
    nodes = registry()
    nodes.hello(1, hello(capacity_viewers=2), START_MS)
    assert nodes.place("a") is not None
    assert nodes.place("a") is not None
    assert nodes.place("a") is None
    nodes.beat(1, 0, {}, START_MS)
    assert nodes.place("a") is None
    nodes.beat(1, 1, {}, START_MS)
    placed = nodes.place("a")
    assert placed is not None
    assert (placed.node.viewers, placed.node.promised_viewers) == (1, 1)


def test_a_video_stays_where_its_first_viewer_is_on_the_way() -> None:
    nodes = registry()
    for session, node_id in enumerate(NODES[:3], 1):
        nodes.hello(session, hello(node_id, capacity_viewers=1000), START_MS)
    first, second = nodes.place("a"), nodes.place("a")
    assert first is not None
    assert second is not None
    assert first.node.node_id == second.node.node_id


def test_a_burst_spills_before_any_beat() -> None:
    nodes = registry()
    for session, node_id in enumerate(NODES[:3], 1):
        nodes.hello(session, hello(node_id, capacity_viewers=1000), START_MS)
    placed = [nodes.place("a") for _ in range(300)]
    chosen = [each.node.node_id for each in placed if each]
    assert {chosen.count(node_id) for node_id in NODES[:3]} <= set(range(95, 106))


def test_a_draining_node_keeps_its_videos_and_takes_no_viewers() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 1}), START_MS)
    assert nodes.place("a") is not None
    nodes.beat(1, 1, {}, START_MS, draining=True)
    assert (nodes.place("a"), nodes.interests.route("a"), nodes.state(1)) == (None, (1,), State.DRAINING)
    nodes.beat(1, 1, {}, START_MS)
    assert nodes.place("a") is not None


def test_a_node_that_connects_while_it_drains_takes_no_viewers() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 1}, draining=1), START_MS)
    assert (nodes.place("a"), nodes.state(1)) == (None, State.DRAINING)


def test_asking_where_a_viewer_would_go_promises_nothing() -> None:
    nodes = registry()
    nodes.hello(1, hello(capacity_viewers=1), START_MS)
    for _ in range(3):
        would = nodes.would_place("a")
        assert would is not None
        assert (would.node_id, would.promised_viewers) == ("rms-1", 0)


# Viewers on all nodes together


def test_each_node_gets_the_viewers_on_all_nodes_and_only_what_has_changed() -> None:
    nodes = registry()
    nodes.hello(1, hello(videos={"a": 2, "b": 1}), START_MS)
    nodes.hello(2, hello("rms-2", videos={"a": 3}), START_MS)
    after_a_beat(nodes, START_MS)
    assert nodes.interests.sums(1, 10) == {"a": 5, "b": 1}
    assert nodes.interests.sums(2, 10) == {"a": 5}
    assert nodes.interests.sums(1, 10) == {}
    nodes.beat(2, 4, {"a": 4}, START_MS)
    after_a_beat(nodes, START_MS)
    assert (nodes.interests.sums(1, 10), nodes.interests.sums(2, 10)) == ({"a": 6}, {"a": 6})
    nodes.end(2, START_MS)
    after_a_beat(nodes, START_MS)
    assert (nodes.interests.sums(1, 10), nodes.interests.sums(2, 10)) == ({"a": 2}, {})
